#!/usr/bin/env bash
# Makes the captures that are other forms of the recorded ones. Needs Go, editcap
# and mergecap (Debian: wireshark-common), gzip, zstd and lz4. Run it after
# record.sh; the same input gives the same bytes, but for pcapng, which names the
# machine and the programs.
#
#     testdata/derive.sh
set -euo pipefail
cd "$(dirname "$0")"

go run ./gen .

editcap -F pcapng office.pcap office.pcapng
# three interfaces with a link type each, their packets in the order of time
mergecap -F pcapng -w links.pcapng vlan.pcap raw.pcap sll2.pcap

gzip -9 -n -c vlan.pcap >vlan.pcap.gz
zstd -q -19 -f vlan.pcap -o vlan.pcap.zst
lz4 -q -9 -f vlan.pcap vlan.pcap.lz4
gzip -9 -n -c links.pcapng >links.pcapng.gz

# a disk that was full: the last packet is cut in the middle
head -c 10000 vlan.pcap >cut.pcap
