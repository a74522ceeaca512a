// Package receiver starts real receivers of records on loopback: each on free ports, with
// its data in a folder that the caller names, from programs that fetch.sh has fetched. A
// receiver can be killed, paused and started again, as tests of delivery need.
package receiver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrMissing says that a receiver's program is not on this machine.
var ErrMissing = errors.New("not on this machine; run testdata/siem/fetch.sh")

// A Server is a receiver's process. Its methods are not for concurrent use.
type Server struct {
	Dir   string         // data, configuration, log
	Ports map[string]int // by the protocol there: tcp, udp, tls, http, https

	name    string
	command []string
	env     []string
	ready   func() error  // returns nil once the receiver takes records
	patient time.Duration // how long that may take at most
	process *exec.Cmd
	exited  chan struct{}
}

// Start starts the process, and returns once it takes records.
func (s *Server) Start() error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command(s.command[0], s.command[1:]...)
	c.Dir, c.Stdout, c.Stderr = s.Dir, log, log
	c.Env = append(os.Environ(), s.env...)
	// No receiver outlives the tests, whatever ends them.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	exited := make(chan struct{})
	go func() {
		c.Wait() // the log says more than its status
		close(exited)
	}()
	s.process, s.exited = c, exited
	for limit := time.Now().Add(s.patient); ; time.Sleep(100 * time.Millisecond) {
		err := s.ready()
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("start %s: it ended: %v\n%s", s.name, c.ProcessState, s.Log())
		default:
		}
		if time.Now().After(limit) {
			s.Kill()
			return fmt.Errorf("start %s: not ready after %v: %w\n%s", s.name, s.patient, err, s.Log())
		}
	}
}

// Stop ends the process as an administrator would, Kill as a power cut would. Both return
// once it is gone.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) {
	if s.process == nil {
		return
	}
	s.Resume() // a paused process does not react to SIGTERM
	s.signal(signal)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.signal(syscall.SIGKILL)
		<-s.exited
	}
	s.process = nil
}

// Pause stops the process without ending it: its sockets stay open, nothing is read from
// them, and the windows of its connections close. Resume lets it continue.
func (s *Server) Pause()  { s.signal(syscall.SIGSTOP) }
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) {
	syscall.Kill(-s.process.Process.Pid, signal) // fails only if it is gone already
}

// Addr returns HOST:PORT where the protocol is spoken.
func (s *Server) Addr(protocol string) string {
	port, found := s.Ports[protocol]
	if !found {
		panic(s.name + " does not speak " + protocol)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func (s *Server) log() string { return filepath.Join(s.Dir, "log") }

// Log returns the end of the process's output.
func (s *Server) Log() string {
	const enough = 4 << 10
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-enough):])
}

// cache returns the path of something that fetch.sh has put into its cache.
func cache(name ...string) string {
	root := os.Getenv("PORTWATCH_SIEM_CACHE")
	if root == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			home = os.TempDir()
		}
		root = filepath.Join(home, "portwatch-siem")
	}
	return filepath.Join(append([]string{root}, name...)...)
}

// need returns the path of a program: one in the cache, else in PATH or the folders of
// daemons.
func need(program string) (string, error) {
	if filepath.IsAbs(program) {
		if _, err := os.Stat(program); err != nil {
			return "", fmt.Errorf("%s: %w", program, ErrMissing)
		}
		return program, nil
	}
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, ErrMissing)
}

// java returns the beginning of a command line that runs with the jars of a folder of the
// cache, in at most heap MiB.
func java(jars string, heap int) ([]string, error) {
	program, err := need("java")
	if err == nil {
		_, err = need(cache(jars))
	}
	if err != nil {
		return nil, err
	}
	memory := fmt.Sprintf("%dm", heap)
	return []string{program, "-Xms" + memory, "-Xmx" + memory, "-XX:TieredStopAtLevel=4", "-cp", cache(jars, "*")}, nil
}

// ports finds a free port for each protocol; for udp, one that is free for datagrams.
func ports(protocols ...string) (map[string]int, error) {
	found := map[string]int{}
	for _, protocol := range protocols {
		if protocol == "udp" {
			c, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			defer c.Close()
			found[protocol] = c.LocalAddr().(*net.UDPAddr).Port
			continue
		}
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		found[protocol] = l.Addr().(*net.TCPAddr).Port
	}
	return found, nil
}

// listens returns nil if somebody accepts connections at the port.
func listens(port int) error {
	c, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// write fills in the @NAME@ words of a configuration, and writes it.
func write(path, text string, pairs ...any) error {
	var words []string
	for i := 0; i < len(pairs); i += 2 {
		words = append(words, fmt.Sprintf("@%v@", pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return os.WriteFile(path, []byte(strings.NewReplacer(words...).Replace(text)), 0o644)
}
