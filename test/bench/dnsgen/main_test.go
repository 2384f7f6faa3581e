package main

import (
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestRun: every kind of load is answered, and the codes are counted.
func TestRun(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg)
		if r.SetReply(q); q.Question[0].Name[0] == 'm' {
			r.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(r)
	})}
	go server.ActivateAndServe()
	defer server.Shutdown()
	for _, kind := range []string{"name", "subnet", "names"} {
		l := load{server: conn.LocalAddr().String(), kind: kind, name: "dyn.example.com", zone: "example.com", names: 100, missing: 30,
			queries: 1000, sockets: 2, window: 10, duration: 100 * time.Millisecond}
		sum, err := l.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sum.answered == 0 || sum.lost > 0 || (sum.rcodes[dns.RcodeNameError] > 0) != (kind == "names") {
			t.Errorf("%s: %+v", kind, sum)
		}
	}
}

// TestQuestions: the dice give what was asked for, and the same again.
func TestQuestions(t *testing.T) {
	l := load{kind: "names", zone: "example.com", names: 1000, missing: 30, queries: 10_000}
	a, err := l.questions(rand.New(rand.NewPCG(7, 0)))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := l.questions(rand.New(rand.NewPCG(7, 0)))
	missing := 0
	for i := range a {
		if string(a[i][2:]) != string(b[i][2:]) {
			t.Fatal("not the same again")
		}
		if a[i][13] == 'm' {
			missing++
		}
	}
	if missing < 2700 || missing > 3300 {
		t.Errorf("%d of 10000 are missing, want some 3000", missing)
	}
	if _, err := (&load{kind: "other", queries: 1}).questions(rand.New(rand.NewPCG(1, 0))); err == nil {
		t.Error("an unknown kind is taken")
	}
}
