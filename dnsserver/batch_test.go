package dnsserver

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// TestBatch: what a batch of messages is answered does not depend on its being one, nor on what it was warmed up for: names that are
// there, that are not, subnets of both families, other zones, other classes, no queries at all.
func TestBatch(t *testing.T) {
	snap := testSnapshot(t, nil)
	var msgs [][]byte
	for i := range maxBatch - 2 {
		name := []string{"www.gslb.example", "nx.gslb.example", "x.app.gslb.example", "www.elsewhere.test", "."}[i%5]
		q := query(name, dns.TypeA)
		switch i % 4 {
		case 1:
			q = query(name, dns.TypeA, subnet(fmt.Sprintf("198.51.%d.0/24", i)))
		case 2:
			q = query(name, dns.TypeA, subnet("2001:db8:1::/48"))
		case 3:
			q = query(name, dns.TypeA, subnet("255.255.255.255/32"))
		}
		if i%7 == 6 {
			q.Question[0].Qclass = dns.ClassCHAOS
		}
		q.Id = uint16(i)
		msg, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, msg)
	}
	msgs = append(msgs, []byte("short"), append([]byte{0, 0, 0x80}, make([]byte, 9)...))

	alone, together := testAnswerer(snap, UDP), testAnswerer(snap, UDP)
	together.batch = make([]message, maxBatch)
	for n := range maxBatch + 1 {
		together.begin()
		for i := range n {
			together.read(i, msgs[i], resolver)
		}
		together.warmUp(n)
		for i := range n {
			want := alone.Answer(nil, msgs[i], resolver, 1232)
			if got := together.reply(i, nil, 1232); !bytes.Equal(got, want) {
				t.Fatalf("batch of %d, message %d:\ngot  %x\nwant %x", n, i, got, want)
			}
		}
		together.end()
	}
}

// TestBatchAfterForgery: a message that must not be answered leaves nothing of the batch before in its place.
func TestBatchAfterForgery(t *testing.T) {
	a := testAnswerer(testSnapshot(t, nil), UDP)
	msg, err := query("www.gslb.example", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Answer(nil, msg, resolver, 1232)) == 0 {
		t.Fatal("no answer")
	}
	if got := a.Answer(nil, msg, netip.AddrPortFrom(resolver.Addr(), 0), 1232); len(got) > 0 {
		t.Errorf("port 0 is answered: %x", got)
	}
}
