package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain lets the test binary be the program: in scripts, "meridian" is this package's main. Goroutines that tests leave behind
// fail the run.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"meridian": main})
}

type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs the program as a person does: one script, one story.
func TestScripts(t *testing.T) {
	pool := new(portPool)
	testscript.Run(t, testscript.Params{
		Dir: "../../test/scripts",
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector, every one of many short processes would end a second late
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ask":      ask,
			"code":     code,
			"envsubst": envsubst,
			"ports":    pool.set,
			"ready":    ready,
			"signal":   signalAll,
			"until":    until,
		},
	})
}

// code runs a program that has to end with an exit code: code 2 meridian check bad.yaml
func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCode(ts, args[1:]); got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}

func exitCode(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// ask asks the DNS server at a port for the A records of a name on behalf of a client, some times: ask $DNS www.gslb.example 192.0.2.0/24 3
func ask(ts *testscript.TestScript, _ bool, args []string) {
	client, err := parseClient(args[2])
	ts.Check(err)
	times, err := strconv.Atoi(args[3])
	ts.Check(err)
	option := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(client.Bits()), Address: client.Addr().AsSlice()}
	if client.Addr().Is6() {
		option.Family = 2
	}
	q := new(dns.Msg).SetQuestion(dns.Fqdn(args[1]), dns.TypeA).SetEdns0(1232, false)
	q.IsEdns0().Option = []dns.EDNS0{option}
	for range times {
		_, _, err := new(dns.Client).Exchange(q, "127.0.0.1:"+args[0])
		ts.Check(err)
	}
}

// until repeats a program until its output matches, for ten seconds: until 'web/one .* down' meridian status
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		exitCode(ts, args[1:])
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v: the output does not match %q within 10 s", args[1:], args[0])
		}
	}
}

// A portPool gives out free ports, none twice: scripts run side by side, and a port is only taken some time after it was found free.
type portPool struct {
	mu    sync.Mutex
	given map[int]bool
}

// set sets variables to ports: ports DNS HTTPS
func (p *portPool) set(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		port, err := p.next()
		ts.Check(err)
		ts.Setenv(name, strconv.Itoa(port))
	}
}

// next returns a port that is free and was not given out before.
func (p *portPool) next() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given == nil {
		p.given = map[int]bool{}
	}
	for {
		port, err := freePort()
		if err != nil || !p.given[port] {
			p.given[port] = true
			return port, err
		}
	}
}

// envsubst replaces $VARIABLES in files: envsubst meridian.yaml
func envsubst(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// freePort returns a port that is free, for TCP and UDP, on all loopback addresses that a dev uses.
func freePort() (int, error) {
	var failed error
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		open := []interface{ Close() error }{l}
		failed = nil
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			failed = err
		} else {
			open = append(open, u)
		}
		for _, host := range []string{"127.0.1.1", "127.0.1.2", "127.0.2.1", "127.0.2.2", "127.0.3.1", "127.0.3.2"} {
			b, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
			if err != nil {
				failed = err
				continue
			}
			open = append(open, b)
		}
		for _, c := range open {
			c.Close()
		}
		if failed == nil {
			return port, nil
		}
	}
	return 0, failed
}

// ready waits until the process whose admin API is at a port is ready: ready $ADMIN
func ready(ts *testscript.TestScript, _ bool, args []string) {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get("http://127.0.0.1:" + args[0] + "/readyz")
		if last = err; err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		last = errors.New(resp.Status)
	}
	ts.Fatalf("not ready after 20 s: %v", last)
}

// signalAll sends a signal to the programs that run in the background: signal HUP
func signalAll(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": os.Interrupt}[args[0]]
	if !ok {
		ts.Fatalf("signal %s: want HUP, TERM or INT", args[0])
	}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(s))
	}
}
