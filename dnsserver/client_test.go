package dnsserver

import (
	"net/netip"
	"testing"
)

// TestUnembed: the IPv4 client in an IPv6 subnet, in all forms, and where its bits begin.
func TestUnembed(t *testing.T) {
	for _, tt := range []struct {
		subnet, want string
		before       uint8
	}{
		{"::ffff:198.51.100.0/120", "198.51.100.0/24", 96},
		{"::198.51.100.0/120", "198.51.100.0/24", 96},
		{"::ffff:0:c633:6400/120", "198.51.100.0/24", 96},
		{"64:ff9b::c633:6400/120", "198.51.100.0/24", 96},
		{"2002:c633:6400::/40", "198.51.100.0/24", 16},
		{"2002:c633:6407::/56", "198.51.100.7/32", 16},
		{"2001:0:1::39cc:9bf8/128", "198.51.100.7/32", 96},
		{"2001:0:1::/56", "2001:0:1::/56", 0},
		{"2002::/16", "2002::/16", 0},
		{"2001:db8::/32", "2001:db8::/32", 0},
		{"198.51.100.0/24", "198.51.100.0/24", 0},
	} {
		got, before := unembed(netip.MustParsePrefix(tt.subnet))
		if got.String() != tt.want || before != tt.before {
			t.Errorf("%s: %s after %d bits, want %s after %d", tt.subnet, got, before, tt.want, tt.before)
		}
	}
}
