package dnsserver

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
)

// What a server tells of itself and its secrets reach every Answerer; a secret that the server made stays while it needs one.
func TestSettings(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}, NSID: "one"})
	a, b := s.answerer(UDP), s.answerer(TCP)
	given := [][16]byte{{1}, {2}}
	var made [][16]byte
	for i, step := range []struct {
		cookies CookieConfig
		nsid    string
	}{
		{CookieConfig{}, "one"}, {CookieConfig{Require: true}, "two"}, {CookieConfig{Secrets: given}, ""}, {CookieConfig{Off: true}, "x"}, {CookieConfig{}, "x"},
	} {
		explain := []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10}), i)}
		s.Reconfigure(Config{NSID: step.nsid, Cookies: step.cookies, ExplainFrom: explain})
		for _, a := range []*Answerer{a, b} {
			a.begin()
			want := step.cookies.Secrets
			if want == nil {
				if want = made; made == nil {
					made = a.Cookies.Secrets
					want = made
				}
			}
			if !slices.Equal(a.ExplainFrom, explain) {
				t.Errorf("step %d: explained to %v", i, a.ExplainFrom)
			}
			if a.NSID != step.nsid || a.Cookies.Require != step.cookies.Require || a.Cookies.Off != step.cookies.Off || !slices.Equal(a.Cookies.Secrets, want) {
				t.Errorf("step %d: %q, %+v", i, a.NSID, a.Cookies)
			}
			a.end()
		}
	}
	if len(made) != 1 || made[0] == [16]byte{} {
		t.Errorf("secrets that were made: %x", made)
	}
}

// Settings change under load without a race.
func TestReconfigureUnderLoad(t *testing.T) {
	s, _ := start(t, Config{Listen: []string{"127.0.0.1:0"}})
	var workers sync.WaitGroup
	for range 2 {
		a := s.answerer(UDP)
		workers.Go(func() {
			for range 2000 {
				a.begin()
				a.end()
			}
		})
	}
	for i := range 50 {
		s.Reconfigure(Config{RateLimit: RateConfig{Off: i%2 == 0}, NSID: "n"})
	}
	workers.Wait()
}
