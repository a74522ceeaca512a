#!/usr/bin/env bash
# Records the captures of this folder from real programs, in network namespaces
# of its own: nothing leaves the machine, and every address is one that RFC 5737
# and RFC 3849 keep for documentation.
#
#     sudo testdata/record.sh [FOLDER]     default: the folder of this script
#
# Needs Linux with namespaces, veth and bridge, and on Debian
#     apt-get install curl dnsmasq dnsutils ethtool iperf3 iproute2 iptables \
#         iputils-ping ncat nfs-common nginx openssh-client openssh-server openssl \
#         rpcbind tcpdump vsftpd
#
#     desk    192.0.2.10  2001:db8:2::10 ─┐ lan                 wan
#                                         ├── router ── server  198.51.100.10  2001:db8:51::10
#     laptop  192.0.2.11  2001:db8:2::11 ─┘    │                198.51.100.53  (the name server)
#                                              └ office.pcap is what tcpdump sees on lan
#
# Times, ephemeral ports and keys differ between two runs; the flows do not.
set -euo pipefail

out=$(cd "${1:-"$(dirname "$0")"}" && pwd)
work=$(mktemp -d)
server=198.51.100.10
server6=2001:db8:51::10
names=198.51.100.53
exec 3>&2 # standard error, wherever a function sends its own

for program in curl dig dnsmasq ethtool iperf3 ip iptables ncat nginx openssl ping rpc.statd rpcbind \
    rpcinfo ssh tcpdump vsftpd; do
    command -v "$program" >/dev/null || { echo "record.sh: $program is missing; see the head of this file" >&2; exit 1; }
done

cleanup() {
    local status=$?
    [ "$status" = 0 ] || tail -n 3 "$work"/*.log >&3
    for host in desk laptop router server; do
        # all that runs there, also what a server forked
        ip netns pids "pw-$host" 2>"$work/netns.log" | xargs -r kill || true
        ip netns del "pw-$host" 2>"$work/netns.log" || true
        rm -rf "/etc/netns/pw-$host"
    done
    rm -rf "$work"
}
trap cleanup EXIT

in_() { ip netns exec "pw-$1" "${@:2}"; }

# service HOST COMMAND... starts a server or a tcpdump that cleanup ends.
service() {
    ip netns exec "pw-$1" "${@:2}" >>"$work/services.log" 2>&1 &
}

# cable HOST DEVICE HOST DEVICE joins two namespaces. Offloads are off: a
# capture shows packets as a wire has them, with their checksums.
cable() {
    ip link add "$2" netns "pw-$1" type veth peer name "$4" netns "pw-$3"
    for end in "$1 $2" "$3 $4"; do
        read -r host device <<<"$end"
        in_ "$host" ethtool -K "$device" tx off tso off gso off gro off >>"$work/ethtool.log"
    done
}

# address HOST DEVICE LAST-MAC-BYTE ADDRESS... takes its MAC address from the
# range that RFC 7042 keeps for documentation.
address() {
    in_ "$1" ip link set "$2" address "00:00:5e:00:53:$3" up
    for a in "${@:4}"; do
        case $a in
        *:*) in_ "$1" ip address add "$a" dev "$2" nodad ;;
        *) in_ "$1" ip address add "$a" dev "$2" ;;
        esac
    done
}

network() {
    for host in desk laptop router server; do
        ip netns add "pw-$host"
        in_ "$host" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
        in_ "$host" ip link set lo up
        mkdir -p "/etc/netns/pw-$host"
        echo "nameserver $names" >"/etc/netns/pw-$host/resolv.conf"
    done
    in_ router ip link add lan type bridge
    cable desk eth0 router desk
    cable laptop eth0 router laptop
    cable router wan server eth0
    for port in desk laptop; do in_ router ip link set "$port" master lan up; done
    address router lan 01 192.0.2.1/24 2001:db8:2::1/64
    address router wan 02 198.51.100.1/24 2001:db8:51::1/64
    address desk eth0 10 192.0.2.10/24 2001:db8:2::10/64
    address laptop eth0 11 192.0.2.11/24 2001:db8:2::11/64
    address server eth0 50 $server/24 $names/24 $server6/64
    in_ router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    for host in desk laptop; do
        in_ $host ip route add default via 192.0.2.1
        in_ $host ip -6 route add default via 2001:db8:2::1
    done
    in_ server ip route add default via 198.51.100.1
    in_ server ip -6 route add default via 2001:db8:51::1
    # telnet meets a firewall that answers nothing
    in_ server iptables -A INPUT -p tcp --dport 23 -j DROP
}

services() {
    mkdir "$work/www"
    head -c 12000 /dev/zero | tr '\0' '.' >"$work/www/index.html"
    openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=www.office.example \
        -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/openssl.log"
    cat >"$work/nginx.conf" <<END
daemon off; user root; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
    access_log off;
    server {
        listen 80; listen [::]:80; listen 8080;
        listen 443 ssl; listen [::]:443 ssl;
        ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
        root $work/www;
    }
}
END
    service server nginx -c "$work/nginx.conf"
    service server dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv \
        --listen-address=$names --bind-interfaces --user=root --pid-file="$work/dnsmasq.pid" \
        --address=/www.office.example/$server --address=/www.office.example/$server6

    ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/host"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/user"
    cp "$work/user.pub" "$work/authorized"
    mkdir -p /run/sshd
    service server /usr/sbin/sshd -D -f /dev/null -h "$work/host" -o UsePAM=no -o StrictModes=no \
        -o AuthorizedKeysFile="$work/authorized" -o PidFile="$work/sshd.pid"

    service server ncat -l -k 42000 -c 'echo 220 ready; cat'
    service server ncat -l -k 42700 -c 'tr a-z A-Z'
    service server ncat -l -k 6003 -c 'cat'
    service server ncat -l -k 50000 -c 'cat'
    service server ncat -l -u -k 3300 -c 'cat'
    service server ncat -l -u -k 514 -c 'cat >/dev/null'
    service server iperf3 -s

    # servers that name ports on a control Flow and serve on these
    mkdir -p "$work/ftp" /run/vsftpd/empty
    head -c 3000 /dev/zero | tr '\0' '.' >"$work/ftp/report.txt"
    chmod -R a+rX "$work"
    cat >"$work/vsftpd.conf" <<END
listen_ipv6=YES
background=NO
seccomp_sandbox=NO
anonymous_enable=YES
anon_root=$work/ftp
connect_from_port_20=YES
END
    service server vsftpd "$work/vsftpd.conf"
    service server dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root \
        --pid-file="$work/tftp.pid" --enable-tftp --tftp-root="$work/ftp" --listen-address=$server
    service server rpcbind -f -w
    sleep 1
    service server rpc.statd --foreground --no-notify
    sleep 1
}

# lines sends N lines, slowly as a person types, and waits for the answers.
lines() {
    for i in $(seq "$1"); do
        echo "line $i"
        sleep 0.2
    done
}

ssh_() {
    in_ desk ssh -F /dev/null -i "$work/user" -o StrictHostKeyChecking=no -o LogLevel=ERROR \
        -o UserKnownHostsFile="$work/known" "root@$1" echo logged in >>"$work/client.log"
}

# office is a morning in a small office: what its two users and their machines do.
office() {
    local www=www.office.example

    in_ desk ping -q -c 2 $server
    in_ desk ping -q -c 2 $server6
    in_ desk dig +short $www A
    in_ desk dig +short $www AAAA
    in_ laptop dig +short +tcp nothing.office.example
    # no name server here: port unreachable
    in_ laptop dig +short +tries=1 +time=1 @$server $www A || true
    # a question to the local link that nobody answers
    in_ laptop dig +short +tries=1 +time=1 -p 5353 @224.0.0.251 printer.local || true

    in_ desk curl -4 -s -o "$work/page" http://$www/
    in_ desk curl -6 -s -o "$work/page" http://$www/
    in_ laptop curl -4 -s -k -o "$work/page" https://$www/ https://$www/index.html
    in_ laptop curl -6 -s -k -o "$work/page" https://$www/
    in_ laptop curl -4 -s -o "$work/page" http://$www:8080/
    ssh_ $server
    ssh_ $server6

    lines 4 | in_ laptop ncat -i 2 $server 42000 || true
    lines 3 | in_ desk ncat -i 2 $server 42000 || true
    lines 3 | in_ desk ncat -i 2 $server 42700 || true
    lines 2 | in_ desk ncat -i 2 $server 6003 || true
    lines 2 | in_ laptop ncat -i 2 $server 50000 || true
    lines 3 | in_ laptop ncat -u -i 2 $server 3300 || true
    # syslog (RFC 5426): nobody answers, and nobody needs to
    for event in opened closed opened closed; do
        echo "<13>1 - desk office - - - session $event"
        sleep 0.2
    done | in_ desk ncat -u --send-only $server 514
    in_ laptop iperf3 -u -b 200k -l 1000 -t 1 -c $server

    in_ desk ncat -w 1 $server 8081 </dev/null || true # nobody listens: refused
    in_ desk ncat -w 4 $server 23 </dev/null || true   # the firewall: no answer
} >>"$work/client.log" 2>&1

# errand is little traffic, for the captures that show a link type or a clock.
errand() {
    in_ "$1" dig +short www.office.example
    in_ "$1" curl -s -I http://$server/
    in_ "$1" curl -s -I "http://[$server6]/"
    lines 2 | in_ "$1" ncat -i 1 $server 42000 || true
} >>"$work/client.log" 2>&1

# record HOST FILE TCPDUMP-OPTIONS COMMAND... writes what tcpdump sees while the command runs.
record() {
    local host=$1 file=$2 options=$3
    # shellcheck disable=SC2086 # several options in one word
    service "$host" tcpdump -Z root -U -n -w "$work/$file" $options
    local tcpdump=$!
    sleep 1
    "${@:4}"
    sleep 1
    kill -INT "$tcpdump"
    wait "$tcpdump" || true
    # root's file, in a folder that may belong to somebody else
    cp "$work/$file" "$out/$file"
    echo "$file: $(tcpdump -nr "$out/$file" 2>"$work/count.log" | wc -l) packets," \
        "$(stat -c %s "$out/$file") bytes"
}

# announced are transfers whose ports a control Flow names: FTP with PORT, EPRT, 227 and 229,
# TFTP, and RPC by the port mapper's GETADDR.
announced() {
    in_ desk curl -s -o "$work/page" --disable-eprt --ftp-port - ftp://$server/report.txt
    in_ desk curl -s -o "$work/page" --ftp-port - "ftp://[$server6]/report.txt"
    in_ laptop curl -s -o "$work/page" --disable-epsv ftp://$server/report.txt
    in_ laptop curl -s -o "$work/page" "ftp://[$server6]/report.txt"
    in_ desk curl -s -o "$work/page" tftp://$server/report.txt
    in_ desk rpcinfo -t $server status
    in_ laptop rpcinfo -T udp $server status 1
    in_ laptop rpcinfo -T tcp6 $server6 status 1
} >>"$work/client.log" 2>&1

network
services
record router office.pcap '-i lan' office
record router announced.pcap '-i lan' announced
record server sll.pcap '-i any -y LINUX_SLL' errand desk
record server sll2.pcap '-i any -y LINUX_SLL2' errand laptop
record server loopback.pcap '-i lo --time-stamp-precision=nano' errand server
