package policy

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestClientKey: a network shares its key, others have other ones, and what the keys are does not change between versions: clients would move.
func TestClientKey(t *testing.T) {
	key := func(addr string) uint64 { return ClientKey(netip.MustParseAddr(addr)) }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.255", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"192.0.2.1", "::ffff:192.0.2.9", true},
		{"2001:db8:1:200::", "2001:db8:1:2ff::1", true},
		{"2001:db8:1:200::", "2001:db8:1:300::", false},
		{"192.0.2.0", "::c000:200", false},
	} {
		if got := key(c.a) == key(c.b); got != c.same {
			t.Errorf("%s and %s share a key: %v, want %v", c.a, c.b, got, c.same)
		}
	}
	for addr, want := range map[string]uint64{"192.0.2.1": 0x0c35de494ea75c49, "2001:db8::1": 0xef130a859152f71a} {
		if got := key(addr); got != want {
			t.Errorf("%s: %#x, want %#x", addr, got, want)
		}
	}
	if ClientKey(netip.Addr{}) != key("::") {
		t.Error("no address is not ::")
	}
	seen := map[uint64]bool{}
	for i := range 1000 {
		seen[key(fmt.Sprintf("198.%d.%d.7", i/256, i%256))] = true
		seen[key(fmt.Sprintf("2001:db8:%x::", i))] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d keys of 2000 networks", len(seen))
	}
}
