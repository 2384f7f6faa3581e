package simulate

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// A Client is one who asks: a network whose machines share an answer, such as those behind one resolver.
type Client struct {
	Prefix  netip.Prefix
	Queries float64 // a second; more than 0
}

// Queries returns how many a second the clients send together.
func Queries(clients []Client) float64 {
	sum := 0.0
	for i := range clients {
		sum += clients[i].Queries
	}
	return sum
}

// A Synthetic describes clients that do not exist.
type Synthetic struct {
	Number  int     // of clients: 1 to MaxClients
	Queries float64 // a second, of all together; more than 0
	Zipf    float64 // the k-th largest client of a Group has a size in proportion to k^-Zipf; 0 = all alike; at most MaxZipf
	Seed    uint64
	Groups  []Group        // where they are; at least one
	Known   []netip.Prefix // networks that are told apart: a client of one is in no smaller one of these
}

// MaxZipf is the largest exponent: the first client of many has more than nine tenths.
const MaxZipf = 4

// A Group is clients that have something in common.
type Group struct {
	Name     string         // for errors
	Share    float64        // of the clients and of the queries, in proportion to those of the other Groups; more than 0
	Networks []netip.Prefix // one of which is drawn for each client, all with the same probability; at least one
}

// Clients draws the clients: for each a network of its Group, and in it an IPv4 /24 or IPv6 /56, or a single address if the network is no
// larger than that. The queries of a Group are exactly its share, whatever the sizes of its clients. The error says what cannot be.
func (s *Synthetic) Clients() ([]Client, error) {
	switch {
	case s.Number < 1 || s.Number > MaxClients:
		return nil, fmt.Errorf("simulate: %d clients: there are 1 to %d", s.Number, MaxClients)
	case !(s.Queries > 0) || math.IsInf(s.Queries, 0):
		return nil, fmt.Errorf("simulate: %v queries a second are not more than 0", s.Queries)
	case !(s.Zipf >= 0 && s.Zipf <= MaxZipf):
		return nil, fmt.Errorf("simulate: an exponent of %v is not from 0 to %d", s.Zipf, MaxZipf)
	case len(s.Groups) == 0 || len(s.Groups) > s.Number:
		return nil, fmt.Errorf("simulate: %d groups of %d clients: at least one group is needed, and at least one client for each", len(s.Groups), s.Number)
	}
	total := 0.0
	for _, g := range s.Groups {
		if !(g.Share > 0) || len(g.Networks) == 0 {
			return nil, fmt.Errorf("simulate: %q needs a share of more than 0 and a network", g.Name)
		}
		total += g.Share
	}
	d := drawer{dice: dice(mix(s.Seed)), known: knownOf(s.Known)}
	clients := make([]Client, 0, s.Number)
	for i, n := range s.numbers(total) {
		g := &s.Groups[i]
		sum := 0.0
		for k := range n {
			sum += math.Pow(float64(k+1), -s.Zipf)
		}
		for k := range n {
			p, ok := d.client(g.Networks)
			if !ok {
				return nil, fmt.Errorf("simulate: no room for clients in %q: smaller networks fill it", g.Name)
			}
			clients = append(clients, Client{p, s.Queries * g.Share / total * math.Pow(float64(k+1), -s.Zipf) / sum})
		}
	}
	return clients, nil
}

// numbers returns how many clients each Group has: one, and of the rest its share, by largest remainder.
func (s *Synthetic) numbers(total float64) []int {
	n, by, rest := make([]int, len(s.Groups)), make([]int, len(s.Groups)), s.Number-len(s.Groups)
	part := make([]float64, len(s.Groups))
	left := rest
	for i, g := range s.Groups {
		whole, fraction := math.Modf(float64(rest) * g.Share / total)
		n[i], part[i], by[i] = 1+int(whole), fraction, i
		left -= int(whole)
	}
	slices.SortStableFunc(by, func(a, b int) int { return cmp.Compare(part[b], part[a]) })
	for _, i := range by[:max(0, left)] {
		n[i]++
	}
	return n
}

// A drawer draws clients.
type drawer struct {
	dice  dice
	known known
}

// client returns a client of one of some networks, or that none was found.
func (d *drawer) client(networks []netip.Prefix) (netip.Prefix, bool) {
	const tries = 10_000
	for range tries {
		network := networks[d.dice.below(len(networks))].Masked()
		if p := d.inside(network); !d.known.inside(p.Addr(), network.Bits()) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// inside returns a subnet of a network.
func (d *drawer) inside(network netip.Prefix) netip.Prefix {
	from, to := network.Bits(), 24
	if network.Addr().Is6() {
		to = 56
	}
	if from >= to {
		to = network.Addr().BitLen()
	}
	a := network.Addr().AsSlice()
	for i := from; i < to; i++ {
		if i == from || i%64 == 0 {
			d.dice.next()
		}
		if d.dice.last()>>(i%64)&1 == 1 {
			a[i/8] |= 0x80 >> (i % 8)
		}
	}
	addr, _ := netip.AddrFromSlice(a)
	return netip.PrefixFrom(addr, to)
}

// A known is a set of networks, and the lengths they have in IPv4 and IPv6.
type known struct {
	networks map[netip.Prefix]bool
	lengths  [2][]int
}

func knownOf(list []netip.Prefix) known {
	k := known{networks: make(map[netip.Prefix]bool, len(list))}
	var has [2][129]bool
	for _, p := range list {
		k.networks[p.Masked()] = true
		has[familyOf(p.Addr())][p.Bits()] = true
	}
	for f := range has {
		for bits, ok := range has[f] {
			if ok {
				k.lengths[f] = append(k.lengths[f], bits)
			}
		}
	}
	return k
}

// inside reports whether an address is in a network that is longer than some length.
func (k *known) inside(a netip.Addr, length int) bool {
	for _, bits := range k.lengths[familyOf(a)] {
		if bits > length {
			if p, err := a.Prefix(bits); err == nil && k.networks[p] {
				return true
			}
		}
	}
	return false
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
