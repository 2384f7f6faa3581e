// Package demand keeps who asks for what, in fixed memory: a sketch of the questions of the last while, recent ones counting more, and
// what is read from logs of queries.
//
// It is pure: time and dice are arguments.
package demand

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// A Key is what questions that count together have in common.
type Key struct {
	Name   string       // of the record, without the final dot; of names that a wildcard answers, the wildcard
	Type   string       // "A", "AAAA", …
	Client netip.Prefix // who asks, as Network returns it
}

// Network returns the network that a client counts as: the IPv4 /24 or IPv6 /56 around it, or its own network if that is larger. Those who share a
// policy.ClientKey share it, too. IPv4 in IPv6 form is IPv4.
func Network(client netip.Prefix) netip.Prefix {
	addr, bits := client.Addr(), client.Bits()
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	if addr.Is4() {
		bits = min(bits, 24)
	} else {
		bits = min(bits, 56)
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil { // no prefix at all
		return netip.Prefix{}
	}
	return p
}

// A Sketch counts questions by Key in fixed memory. Counts decay: after Decay seconds a question counts 1/e.
//
// It is the unbiased Space-Saving of Ting (SIGMOD 2018) with the forward decay of Cormode et al. (ICDE 2009). A Key that finds no room takes the
// place, and the count, of the smallest with the probability that it has in both together. So the sum of all counts is exact, the expected sum
// of any set of Keys is right (those of a country, say), and large Keys are as exact as in plain Space-Saving. Memory is some 250 bytes a Key,
// and the names.
//
// It belongs to one goroutine at a time.
type Sketch struct {
	decay float64 // seconds; 0: none
	begun int64   // Unix seconds
	zero  int64   // the second at which a question counts 1; one t seconds later counts e^(t/decay)
	limit int
	slots []slot // a heap: no slot counts less than the one at half its position
	at    map[Key]int
	total float64
}

// A slot is one Key and its count, as of Sketch.zero.
type slot struct {
	Key
	n float64
}

// NewSketch returns a Sketch of at most limit Keys, at least 1, that begins at a time in Unix seconds. decay is in seconds; 0 = counts stay.
func NewSketch(limit int, decay float64, now int64) *Sketch {
	return &Sketch{decay: decay, begun: now, zero: now, limit: max(limit, 1), at: map[Key]int{}}
}

// Add counts n questions, more than 0, at a time. Times may go back a little; each call needs fresh dice.
func (s *Sketch) Add(k Key, n float64, now int64, dice uint64) {
	n *= s.weight(now)
	s.total += n
	i, known := s.at[k]
	switch {
	case known:
		s.slots[i].n += n
		s.sink(i)
	case len(s.slots) < s.limit:
		k.Name, k.Type = strings.Clone(k.Name), strings.Clone(k.Type) // they may be parts of something large
		s.slots = append(s.slots, slot{k, n})
		s.at[k] = len(s.slots) - 1
		s.rise(len(s.slots) - 1)
	default:
		least := &s.slots[0]
		least.n += n
		if float64(dice>>11)/(1<<53)*least.n < n {
			delete(s.at, least.Key)
			least.Key = Key{strings.Clone(k.Name), strings.Clone(k.Type), k.Client}
			s.at[least.Key] = 0
		}
		s.sink(0)
	}
}

// weight returns what a question at a time counts. When that becomes large, all counts are made smaller.
func (s *Sketch) weight(now int64) float64 {
	if s.decay == 0 {
		return 1
	}
	const most = 100 // e^100 leaves room for sums
	if x := float64(now-s.zero) / s.decay; x > most {
		scale := math.Exp(-x)
		s.total *= scale
		for i := range s.slots {
			s.slots[i].n *= scale
		}
		s.zero = now
	}
	return math.Exp(float64(now-s.zero) / s.decay)
}

// less reports whether slot i counts less than slot j.
func (s *Sketch) less(i, j int) bool { return s.slots[i].n < s.slots[j].n }

func (s *Sketch) swap(i, j int) {
	s.slots[i], s.slots[j] = s.slots[j], s.slots[i]
	s.at[s.slots[i].Key], s.at[s.slots[j].Key] = i, j
}

// rise moves slot i up to where it belongs.
func (s *Sketch) rise(i int) {
	for up := (i - 1) / 2; i > 0 && s.less(i, up); i, up = up, (up-1)/2 {
		s.swap(i, up)
	}
}

// sink moves slot i down to where it belongs.
func (s *Sketch) sink(i int) {
	for {
		low := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(s.slots) && s.less(child, low) {
				low = child
			}
		}
		if low == i {
			return
		}
		s.swap(i, low)
		i = low
	}
}

// A Report is what a Sketch holds at one time, as people and programs are shown it. It does not change.
type Report struct {
	Since   int64   `json:"since"`    // Unix seconds: when counting began
	Window  float64 `json:"window_s"` // seconds that the numbers are an average of, recent ones counting more
	Queries float64 `json:"queries"`  // a second, all of them
	Keys    int     `json:"keys"`     // how many entries there are, also if fewer are shown
	Full    bool    `json:"full"`     // there are more networks than room: the small ones are a sample that stands for all
	Entries []Entry `json:"entries"`  // the largest first
}

// An Entry is the questions of one Key.
type Entry struct {
	Name    string       `json:"name"`
	Type    string       `json:"type"`
	Client  netip.Prefix `json:"client"`
	Queries float64      `json:"queries"` // a second
}

// Report returns what the Sketch holds at a time. It does not change the Sketch.
func (s *Sketch) Report(now int64) Report {
	age := math.Max(1, float64(now-s.begun))
	r := Report{Since: s.begun, Window: age, Keys: len(s.slots), Full: len(s.slots) == s.limit, Entries: make([]Entry, len(s.slots))}
	one := age // what a question a second makes
	if s.decay > 0 {
		r.Window = s.decay * -math.Expm1(-age/s.decay)
		one = math.Exp(float64(now-s.zero)/s.decay) * r.Window
	}
	r.Queries = s.total / one
	for i, x := range s.slots {
		r.Entries[i] = Entry{x.Name, x.Type, x.Client, x.n / one}
	}
	slices.SortFunc(r.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Queries, a.Queries), strings.Compare(a.Name, b.Name), strings.Compare(a.Type, b.Type), compareNetworks(a.Client, b.Client))
	})
	return r
}

// First returns the Report with its largest entries only, n of them.
func (r Report) First(n int) Report {
	r.Entries = r.Entries[:min(max(n, 0), len(r.Entries))]
	return r
}

// OfName returns the Report with the entries of one name only.
func (r Report) OfName(name string) Report {
	r.Entries = slices.DeleteFunc(slices.Clone(r.Entries), func(e Entry) bool { return e.Name != name })
	return r
}

func compareNetworks(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
