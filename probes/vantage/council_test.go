package vantage

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/probes/quorum"
)

// A seat is a Council and what it said.
type seat struct {
	*Council
	mu    sync.Mutex
	said  []string // "web/0 down 2 of 3 probers say down"
	notes []string
	seq   uint64
}

func newSeat(name, site string, n int, rule quorum.Rule) *seat {
	s := &seat{}
	s.Council = New(Options{
		Self: quorum.Prober{Name: name, Site: site, Region: site},
		Report: func(endpoint string, v policy.Verdict, why string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.said = append(s.said, fmt.Sprintf("%s %v/%d %s", endpoint, v.State, v.TTL, why))
		},
		Note: func(prober, from, to, why string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.notes = append(s.notes, fmt.Sprintf("%s %s>%s", prober, from, to))
		},
	})
	s.SetTargets(targets(n, rule))
	return s
}

func targets(n int, rule quorum.Rule) []probes.Target {
	var list []probes.Target
	for i := range n {
		list = append(list, probes.Target{Endpoint: fmt.Sprintf("web/%d", i), Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Port: 80,
			Check: probes.Check{Kind: probes.TCP, Rule: rule}})
	}
	return list
}

// see has the seat's prober see a state, and a failing check if it is down.
func (s *seat) see(endpoint string, state policy.State) {
	o := probes.Observation{Verdict: policy.Verdict{State: state, TTL: 10}, Checked: true}
	if state == policy.Down {
		o.Trouble = "connect: connection refused"
	}
	s.Observe(endpoint, o)
}

// tell gives what a seat sees to another.
func (s *seat) tell(t *testing.T, to *seat, rep quorum.Report) {
	t.Helper()
	s.seq++
	rep.Boot, rep.Seq, rep.TTL = 1, s.seq, 10*time.Second
	if err := to.Hear(&rep); err != nil {
		t.Fatal(err)
	}
}

// since returns what was said since the last call.
func (s *seat) since() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.said
	s.said = nil
	return out
}

// TestCouncil follows what one prober sees into verdicts: at once, with its reason, and again every ten seconds.
func TestCouncil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newSeat("a", "eu", 2, quorum.Rule{})
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		step := func(want ...string) {
			t.Helper()
			time.Sleep(100 * time.Millisecond)
			if got := s.since(); !slices.Equal(got, want) {
				t.Errorf("said %q, want %q", got, want)
			}
		}
		step()
		s.see("web/0", policy.Up)
		step("web/0 up/10 probe")
		s.see("web/0", policy.Up)
		step()
		s.see("web/0", policy.Down)
		s.see("web/1", policy.Up)
		s.see("web/none", policy.Up)
		step("web/0 down/10 probe: connect: connection refused", "web/1 up/10 probe")
		time.Sleep(10 * time.Second)
		step("web/0 down/10 probe: connect: connection refused", "web/1 up/10 probe")
		s.SetTargets(targets(1, quorum.Rule{}))
		step("web/1 unknown/0 not probed any more")
		if row, _, ok := s.Row("web/0"); !ok || row.State != policy.Down {
			t.Errorf("%+v", row)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestThreeNodes has a node overruled by two others, by reports and by what changed alone.
func TestThreeNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newSeat("a", "eu", 2, quorum.Rule{}), newSeat("b", "us", 2, quorum.Rule{}), newSeat("c", "ap", 2, quorum.Rule{})
		for _, s := range []*seat{a, b, c} {
			s.see("web/0", policy.Up)
			s.see("web/1", policy.Up)
		}
		time.Sleep(time.Second)
		b.tell(t, a, b.Full())
		c.tell(t, a, c.Full())
		a.Decide()
		a.since()
		a.see("web/0", policy.Down) // alone with it
		b.see("web/1", policy.Down)
		a.Decide()
		a.since()
		d := b.Delta()
		if d.Full || len(d.Entries) != 1 {
			t.Errorf("delta %+v", d)
		}
		b.tell(t, a, d)
		a.Decide()
		if got := a.since(); len(got) != 0 {
			t.Errorf("said %q", got)
		}
		c.see("web/1", policy.Down)
		c.tell(t, a, c.Delta())
		a.Decide()
		if got := a.since(); len(got) != 1 || got[0] != "web/1 down/10 2 of 3 probers say down" {
			t.Errorf("said %q", got)
		}
		if d := c.Delta(); len(d.Entries) != 0 {
			t.Errorf("told twice: %+v", d)
		}
		c.Observe("web/0", probes.Observation{}) // nothing is known any more
		if d := c.Delta(); len(d.Entries) != 1 || d.Entries[0].Vote.State != policy.Unknown {
			t.Errorf("delta %+v", d)
		}
		time.Sleep(11 * time.Second)
		a.SetLinked(true)
		a.Decide()
		if want := []string{"b trusted>gone", "c trusted>gone"}; !slices.Equal(a.notes[len(a.notes)-2:], want) {
			t.Errorf("notes %q, want %q at the end", a.notes, want)
		}
	})
}

// Nodes that run the same and look from elsewhere are one row; those that look at another address are not.
func TestKeys(t *testing.T) {
	one := targets(1, quorum.Rule{})[0]
	same, other := one, one
	other.Port = 81
	a, b, c := target(one, "a"), target(same, "b"), target(other, "b")
	if a.Key != b.Key || a.Key == c.Key || a.Key == 0 {
		t.Errorf("keys %x %x %x", a.Key, b.Key, c.Key)
	}
	if a.Hold == b.Hold || a.Hold < 15*time.Second || a.Hold > 16500*time.Millisecond {
		t.Errorf("holds %v and %v, want 15 s and up to a tenth more", a.Hold, b.Hold)
	}
	one.Check.Hold = -1
	if h := target(one, "a").Hold; h > 0 {
		t.Errorf("hold %v, want none", h)
	}
}

func TestMetrics(t *testing.T) {
	a, b := newSeat("a", "eu", 1, quorum.Rule{}), newSeat("b", "us", 1, quorum.Rule{})
	a.see("web/0", policy.Up)
	b.see("web/0", policy.Down)
	b.tell(t, a, b.Full())
	a.Decide()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(a)
	want := `
# HELP meridian_health_suppressed_total Changes of an endpoint's state that were not made, by reason.
# TYPE meridian_health_suppressed_total counter
meridian_health_suppressed_total{reason="cut_off"} 0
meridian_health_suppressed_total{reason="hold"} 0
meridian_health_suppressed_total{reason="self_suspect"} 0
# HELP meridian_probe_votes Probers by what they say of an endpoint: up, down, or none if what they say does not count.
# TYPE meridian_probe_votes gauge
meridian_probe_votes{endpoint="web/0",vote="down"} 1
meridian_probe_votes{endpoint="web/0",vote="none"} 0
meridian_probe_votes{endpoint="web/0",vote="up"} 1
# HELP meridian_prober_suspect 1 if the prober is suspect and has no vote, else 0.
# TYPE meridian_prober_suspect gauge
meridian_prober_suspect{prober="a"} 0
meridian_prober_suspect{prober="b"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "meridian_health_suppressed_total", "meridian_probe_votes", "meridian_prober_suspect"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "meridian_peer_last_seen_timestamp_seconds"); n != 1 || err != nil {
		t.Errorf("%d peers, %v", n, err)
	}
}
