package dnsserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// keepalive adds the option as clients send it: empty, or with a time, which is an error.
func keepalive(units uint16) func(*dns.Msg) {
	return func(m *dns.Msg) {
		edns(m)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE, Timeout: units})
	}
}

// told returns what a response says of the time that a connection may be idle, and whether it does.
func told(r *dns.Msg) (units uint16, ok bool) {
	if opt := r.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if k, is := o.(*dns.EDNS0_TCP_KEEPALIVE); is {
				return k.Timeout, true
			}
		}
	}
	return 0, false
}

// TestKeepalive: who asks over TCP is told how long the connection may be idle, and 0 when the server ends.
func TestKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newConns(testLimits)
		a := testAnswerer(testSnapshot(t, nil), TCP)
		a.Keepalive = cs.keepalive
		ctx, cancel := context.WithCancel(t.Context())
		client, _ := pipeTo(t, ctx, cs, a)
		say := func(edits ...func(*dns.Msg)) *dns.Msg {
			if _, err := client.Write(framed(t, query("mail.gslb.example", dns.TypeA, edits...))); err != nil {
				t.Fatal(err)
			}
			return readMsg(t, client)
		}
		if units, ok := told(say(keepalive(0))); !ok || time.Duration(units)*100*time.Millisecond != testLimits.Idle {
			t.Errorf("told %d, %v; want %v", units, ok, testLimits.Idle)
		}
		if _, ok := told(say(edns)); ok {
			t.Error("told unasked")
		}
		if r := say(keepalive(7)); r.Rcode != dns.RcodeFormatError {
			t.Errorf("a client that says a time itself: %v", r)
		}
		cancel()
		synctest.Wait()
		if units, ok := told(say(keepalive(0))); !ok || units != 0 {
			t.Errorf("at the end: told %d, %v", units, ok)
		}
	})

	a := testAnswerer(testSnapshot(t, nil), UDP)
	a.Keepalive = newConns(testLimits).keepalive
	for _, units := range []uint16{0, 7} {
		if r := answer(t, a, query("mail.gslb.example", dns.TypeA, keepalive(units))); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 1 {
			t.Errorf("over UDP: %v", r)
		} else if _, ok := told(r); ok {
			t.Error("told over UDP")
		}
	}
}

// TestKeepaliveLimit: the longest time that can be told is told for all that are longer.
func TestKeepaliveLimit(t *testing.T) {
	for idle, want := range map[time.Duration]uint16{10 * time.Second: 100, 50 * time.Millisecond: 0, 2 * time.Hour: 65535} {
		if got := newConns(TCPConfig{Idle: idle}).keepalive(); got != want {
			t.Errorf("%v: %d, want %d", idle, got, want)
		}
	}
}
