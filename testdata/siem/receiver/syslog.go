package receiver

import (
	"path/filepath"
	"time"
)

// Rsyslog returns an rsyslogd: syslog over udp, tcp and tls. It writes the MSG part of
// each message it takes to the file messages of dir, one per line.
func Rsyslog(dir string, a Authority) (*Server, error) {
	program, err := need("rsyslogd")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, name: "rsyslog", patient: 20 * time.Second}
	if s.Ports, err = ports("udp", "tcp", "tls"); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "rsyslog.conf")
	err = write(config, `
global(workDirectory="@dir@" maxMessageSize="256k"
	defaultNetstreamDriverCAFile="@ca@" defaultNetstreamDriverCertFile="@cert@" defaultNetstreamDriverKeyFile="@key@")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="message" type="list") { property(name="msg" position.from="1") constant(value="\n") }
ruleset(name="keep") { action(type="omfile" file="@dir@/messages" template="message") }
input(type="imudp" address="127.0.0.1" port="@udp@" ruleset="keep")
input(type="imptcp" address="127.0.0.1" port="@tcp@" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="@tls@" ruleset="keep")
`, "dir", dir, "ca", a.CA, "cert", a.Cert, "key", a.Key, "udp", s.Ports["udp"], "tcp", s.Ports["tcp"], "tls", s.Ports["tls"])
	s.command = []string{program, "-n", "-f", config, "-i", filepath.Join(dir, "pid")}
	s.ready = func() error { return listens(s.Ports["tcp"]) } // connecting to tls and leaving would show in the log
	return s, err
}

// SyslogNG returns a syslog-ng: syslog over udp, tcp and tls, into the file messages of
// dir like Rsyslog.
func SyslogNG(dir string, a Authority) (*Server, error) {
	root := cache("syslog-ng")
	program, err := need(filepath.Join(root, "usr/sbin/syslog-ng"))
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, name: "syslog-ng", patient: 20 * time.Second}
	if s.Ports, err = ports("udp", "tcp", "tls"); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "syslog-ng.conf")
	err = write(config, `@version: 3.38
options { log-msg-size(262144); keep-hostname(yes); stats-freq(0); };
source s {
	syslog(transport("udp") ip("127.0.0.1") port(@udp@));
	syslog(transport("tcp") ip("127.0.0.1") port(@tcp@));
	syslog(transport("tls") ip("127.0.0.1") port(@tls@)
		tls(cert-file("@cert@") key-file("@key@") peer-verify(optional-untrusted)));
};
destination d { file("@dir@/messages" template("${MSG}\n") flush-lines(1)); };
log { source(s); destination(d); flags(flow-control); };
`, "dir", dir, "cert", a.Cert, "key", a.Key, "udp", s.Ports["udp"], "tcp", s.Ports["tcp"], "tls", s.Ports["tls"])
	modules, err2 := filepath.Glob(filepath.Join(root, "usr/lib/syslog-ng/[0-9]*"))
	if err == nil && (err2 != nil || len(modules) != 1) {
		_, err = need(filepath.Join(root, "usr/lib/syslog-ng/modules"))
	}
	if err != nil {
		return nil, err
	}
	s.env = []string{"LD_LIBRARY_PATH=" + filepath.Join(root, "usr/lib/syslog-ng")}
	s.command = []string{program, "-F", "-f", config, "--module-path", modules[0], "--no-caps",
		"-R", filepath.Join(dir, "persist"), "-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "control")}
	s.ready = func() error { return listens(s.Ports["tcp"]) }
	return s, nil
}
