package simulate

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// draw returns clients that have to be there.
func draw(t *testing.T, s Synthetic) []Client {
	t.Helper()
	clients, err := s.Clients()
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// TestGroups: the clients and queries of a group are its share, whatever the sizes; each is in a network of its group.
func TestGroups(t *testing.T) {
	groups := []Group{{"europe", 45, prefixes("80.0.0.0/8", "2a00::/12")}, {"america", 35, prefixes("68.0.0.0/8")}, {"asia", 20, prefixes("117.0.0.0/8")}}
	for _, zipf := range []float64{0, 0.8, 2} {
		clients := draw(t, Synthetic{Number: 1003, Queries: 5000, Zipf: zipf, Seed: 1, Groups: groups})
		if len(clients) != 1003 || math.Abs(Queries(clients)-5000) > 1e-6 {
			t.Errorf("%d clients with %v queries", len(clients), Queries(clients))
		}
		for _, g := range groups {
			number, queries := 0, 0.0
			for _, c := range clients {
				for _, n := range g.Networks {
					if n.Contains(c.Prefix.Addr()) {
						number, queries = number+1, queries+c.Queries
					}
				}
			}
			if math.Abs(float64(number)-10.03*g.Share) > 1 || math.Abs(queries-50*g.Share) > 1e-6 {
				t.Errorf("zipf %v: %s has %d clients with %v queries", zipf, g.Name, number, queries)
			}
		}
	}
}

// TestZipf: the k-th client of a group has k^-s of the first.
func TestZipf(t *testing.T) {
	clients := draw(t, Synthetic{Number: 100, Queries: 10, Zipf: 1.5, Groups: []Group{{"all", 1, prefixes("80.0.0.0/8")}}})
	for k, c := range clients {
		if want := clients[0].Queries * math.Pow(float64(k+1), -1.5); math.Abs(c.Queries-want) > 1e-9 {
			t.Fatalf("client %d has %v, want %v", k, c.Queries, want)
		}
	}
	even := draw(t, Synthetic{Number: 100, Queries: 10, Groups: []Group{{"all", 1, prefixes("80.0.0.0/8")}}})
	if even[0].Queries != even[99].Queries {
		t.Error("an exponent of 0 is not all alike")
	}
}

// TestSubnets: clients are as long as they should be, and their networks are drawn evenly.
func TestSubnets(t *testing.T) {
	for network, want := range map[string]int{"80.0.0.0/8": 24, "80.1.0.0/16": 24, "192.0.2.0/24": 32, "192.0.2.128/25": 32, "192.0.2.1/32": 32,
		"2a00::/12": 56, "2001:db8::/48": 56, "2001:db8::/56": 128, "2001:db8::1/128": 128, "0.0.0.0/0": 24, "::/0": 56} {
		seen := map[netip.Prefix]bool{}
		for _, c := range draw(t, Synthetic{Number: 200, Queries: 1, Seed: 3, Groups: []Group{{"one", 1, prefixes(network)}}}) {
			if c.Prefix.Bits() != want || !netip.MustParsePrefix(network).Contains(c.Prefix.Addr()) || c.Prefix != c.Prefix.Masked() {
				t.Fatalf("%s: client %s", network, c.Prefix)
			}
			seen[c.Prefix] = true
		}
		if room := math.Pow(2, float64(want-netip.MustParsePrefix(network).Bits())); float64(len(seen)) < min(room, 100)*0.8 {
			t.Errorf("%s: only %d clients differ", network, len(seen))
		}
	}
	networks := prefixes("80.0.0.0/8", "81.0.0.0/8", "82.0.0.0/8", "83.7.0.0/16")
	count := map[byte]float64{}
	for _, c := range draw(t, Synthetic{Number: 40_000, Queries: 1, Groups: []Group{{"all", 1, networks}}}) {
		count[c.Prefix.Addr().As4()[0]]++
	}
	chi := 0.0
	for _, n := range count {
		chi += (n - 10_000) * (n - 10_000) / 10_000
	}
	if len(count) != 4 || chi > 16.27 {
		t.Errorf("networks %v, χ² %.1f", count, chi)
	}
}

// TestBits: every bit of a client that may be set is set for half of them.
func TestBits(t *testing.T) {
	for _, network := range prefixes("0.0.0.0/0", "::/0") {
		clients := draw(t, Synthetic{Number: 10_000, Queries: 1, Groups: []Group{{"all", 1, []netip.Prefix{network}}}})
		for i := range clients[0].Prefix.Bits() {
			n := 0
			for _, c := range clients {
				n += int(c.Prefix.Addr().AsSlice()[i/8] >> (7 - i%8) & 1)
			}
			if n < 4800 || n > 5200 {
				t.Errorf("%s: bit %d is set in %d of 10000", network, i, n)
			}
		}
	}
}

// TestKnown: a client of a network is in no smaller known one, as the longest prefix says where clients are.
func TestKnown(t *testing.T) {
	known := prefixes("80.0.0.0/8", "80.64.0.0/10", "80.1.2.0/24", "2a00::/12", "0.0.0.0/1")
	for _, c := range []struct {
		network string
		never   []string
	}{
		{"80.0.0.0/8", []string{"80.64.0.0/10", "80.1.2.0/24"}},
		{"0.0.0.0/0", []string{"0.0.0.0/1"}},
		{"80.64.0.0/10", nil},
	} {
		for _, client := range draw(t, Synthetic{Number: 5000, Queries: 1, Known: known, Groups: []Group{{"one", 1, prefixes(c.network)}}}) {
			for _, n := range prefixes(c.never...) {
				if n.Contains(client.Prefix.Addr()) {
					t.Fatalf("%s: client %s is in %s", c.network, client.Prefix, n)
				}
			}
		}
	}
}

func TestSyntheticDeterminism(t *testing.T) {
	s := Synthetic{Number: 100, Queries: 1, Seed: 5, Groups: []Group{{"a", 1, prefixes("80.0.0.0/8", "2a00::/12")}, {"b", 2, prefixes("68.0.0.0/8")}}}
	if !reflect.DeepEqual(draw(t, s), draw(t, s)) {
		t.Error("two draws differ")
	}
	other := s
	other.Seed++
	if reflect.DeepEqual(draw(t, s), draw(t, other)) {
		t.Error("the seed does not matter")
	}
}

// TestNumbers: everybody gets one, and the sum is right however the shares fall.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		number int
		shares []float64
		want   string
	}{
		{10, []float64{1}, "[10]"},
		{3, []float64{100, 1, 1}, "[1 1 1]"},
		{10, []float64{1, 1, 1}, "[4 3 3]"},
		{103, []float64{45, 35, 20}, "[46 36 21]"},
		{12, []float64{0.001, 99.999}, "[1 11]"},
	} {
		s := Synthetic{Number: c.number}
		total := 0.0
		for _, share := range c.shares {
			s.Groups = append(s.Groups, Group{Share: share})
			total += share
		}
		if got := fmt.Sprint(s.numbers(total)); got != c.want {
			t.Errorf("%d by %v: %s, want %s", c.number, c.shares, got, c.want)
		}
	}
}

func TestSyntheticErrors(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Synthetic)
	}{
		{"0 clients", func(s *Synthetic) { s.Number = 0 }},
		{"1000001 clients", func(s *Synthetic) { s.Number = MaxClients + 1 }},
		{"0 queries", func(s *Synthetic) { s.Queries = 0 }},
		{"NaN queries", func(s *Synthetic) { s.Queries = math.NaN() }},
		{"+Inf queries", func(s *Synthetic) { s.Queries = math.Inf(1) }},
		{"exponent of -1", func(s *Synthetic) { s.Zipf = -1 }},
		{"exponent of 5", func(s *Synthetic) { s.Zipf = 5 }},
		{"0 groups", func(s *Synthetic) { s.Groups = nil }},
		{"2 groups of 1 clients", func(s *Synthetic) { s.Number, s.Groups = 1, append(s.Groups, s.Groups...) }},
		{"\"one\" needs a share", func(s *Synthetic) { s.Groups[0].Share = 0 }},
		{"\"one\" needs a share", func(s *Synthetic) { s.Groups[0].Networks = nil }},
		{"no room for clients in \"one\"", func(s *Synthetic) { s.Known = prefixes("80.0.0.0/9", "80.128.0.0/9") }},
	} {
		s := Synthetic{Number: 10, Queries: 10, Groups: []Group{{"one", 1, prefixes("80.0.0.0/8")}}}
		c.change(&s)
		clients, err := s.Clients()
		if clients != nil || err == nil || !strings.HasPrefix(err.Error(), "simulate: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want …%s…", err, c.want)
		}
	}
}
