package zone

import (
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

func TestOutside(t *testing.T) {
	a := &wire.RRset{Type: wire.TypeA, TTL: 30, RData: [][]byte{{192, 0, 2, 1}}}
	host, other := wire.Name("\x04host\x02ex\x00"), wire.Name("\x05other\x02ex\x00")
	o := NewOutside([]OutsideSet{
		{Name: host, Type: wire.TypeA, Set: &wire.RRset{}},
		{Name: host, Type: wire.TypeA, Set: a},
		{Name: other, Type: wire.TypeAAAA},
		{Name: wire.Name("\x02mx\x02ex\x00"), Type: wire.TypeMX, Set: a},
	})
	for _, c := range []struct {
		in     *Outside
		name   wire.Name
		rrtype uint16
		set    *wire.RRset
		known  bool
	}{
		{o, host, wire.TypeA, a, true},
		{o, host, wire.TypeAAAA, nil, false},
		{o, host, wire.TypeMX, nil, false},
		{o, other, wire.TypeA, nil, false},
		{o, other, wire.TypeAAAA, nil, true},
		{o, wire.Name("\x02mx\x02ex\x00"), wire.TypeMX, nil, false},
		{o, nil, wire.TypeA, nil, false},
		{nil, host, wire.TypeA, nil, false},
	} {
		if set, known := c.in.Find(c.name, c.rrtype); set != c.set || known != c.known {
			t.Errorf("%v %d: got %v, %v; want %v, %v", c.name, c.rrtype, set, known, c.set, c.known)
		}
	}
	if got := o.Len(); got != 2 {
		t.Errorf("Len is %d, want 2", got)
	}
	if got := (*Outside)(nil).Len(); got != 0 {
		t.Errorf("Len of nil is %d, want 0", got)
	}
	if n := testing.AllocsPerRun(100, func() { o.Find(host, wire.TypeA) }); n != 0 {
		t.Errorf("Find allocates %v times", n)
	}
}
