package registry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A model is the registry as simple as it can be: it computes everything from what was last said, each time.
type model struct {
	file      map[string]string            // endpoint -> site
	published map[string]map[string]string // source -> endpoint -> site
	checked   map[string]bool              // services
	probed    map[string]policy.Verdict
	overrides map[Target]policy.State
	until     map[Target]time.Time
}

// endpoints returns all endpoints and their sites.
func (m *model) endpoints() map[string]string {
	all := map[string]string{}
	for name, site := range m.file {
		all[name] = site
	}
	for _, source := range []string{"zoo", "embedded"} { // the first in the alphabet has the last word
		for name, site := range m.published[source] {
			if m.valid(name, site) {
				all[name] = site
			}
		}
	}
	return all
}

func (m *model) valid(name, site string) bool {
	return site != "nowhere" && (strings.HasPrefix(name, "web/") || strings.HasPrefix(name, "api/"))
}

func (m *model) verdict(name, site string) policy.Verdict {
	service, _, _ := strings.Cut(name, "/")
	states, ttls := []policy.State{}, []uint32{}
	for t, s := range m.overrides {
		if t == (Target{KindSite, site}) || t == (Target{KindService, service}) || t == (Target{KindEndpoint, name}) {
			states = append(states, s)
			if end := m.until[t]; !end.IsZero() && s != policy.Drained {
				ttls = append(ttls, halves(time.Until(end)))
			}
		}
	}
	if len(states) > 0 {
		v := policy.Verdict{State: slices.Max(states), Forced: true}
		if len(ttls) > 0 {
			v.TTL = slices.Min(ttls)
		}
		return v
	}
	v := m.probed[name]
	if m.checked[service] && v.TTL == 0 {
		v.TTL = 1
	}
	return v
}

// halves returns the largest power of two of seconds that is less than left, at least 1.
func halves(left time.Duration) uint32 {
	n := uint32(1)
	for time.Duration(2*n)*time.Second < left {
		n *= 2
	}
	return n
}

// settle drops what time and absence have taken.
func (m *model) settle(now time.Time) {
	for t, end := range m.until {
		if !end.IsZero() && !now.Before(end) {
			delete(m.overrides, t)
			delete(m.until, t)
		}
	}
	all := m.endpoints()
	for name, v := range m.probed {
		if _, there := all[name]; !there {
			v.TTL = 0
			m.probed[name] = v
		}
	}
}

// TestAgainstAModel: after random sequences of everything that changes a Registry, restarts among them, the Snapshot is what the model says.
func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) { againstModel(t, seed) })
	}
}

func againstModel(t *testing.T, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 5))
	m := &model{file: map[string]string{}, published: map[string]map[string]string{}, probed: map[string]policy.Verdict{},
		overrides: map[Target]policy.State{}, until: map[Target]time.Time{}}
	store := newMemory()
	r := New(Options{Store: store})
	stop := start(t, r)
	var base *Compiled
	services := []string{"web", "api", "orphan"}
	sites := []string{"", "eu", "us", "nowhere"}
	endpointName := func() string { return services[dice.IntN(3)] + "/" + string('a'+rune(dice.IntN(5))) }
	target := func() Target {
		switch kind := TargetKind(1 + dice.IntN(3)); kind {
		case KindSite:
			return Target{kind, sites[1+dice.IntN(2)]}
		case KindService:
			return Target{kind, services[dice.IntN(2)]}
		default:
			return Target{kind, endpointName()}
		}
	}
	apply := func() {
		d := Definition{Policy: policy.Spec{Sites: []policy.SiteSpec{{Name: "eu"}, {Name: "us"}}}}
		m.file, m.checked = map[string]string{}, map[string]bool{}
		for _, s := range services {
			if dice.IntN(2) == 0 { // of a service that there is not, too
				m.checked[s], d.Probed = true, append(d.Probed, s)
			}
		}
		for _, s := range services[:2] {
			spec := policy.ServiceSpec{Name: s}
			for _, i := range dice.Perm(5)[:dice.IntN(4)] {
				e := ep(string('a'+rune(i)), sites[dice.IntN(3)])
				spec.Endpoints = append(spec.Endpoints, e)
				m.file[s+"/"+e.Name] = e.Site
			}
			d.Policy.Services = append(d.Policy.Services, spec)
		}
		base = mustCompile(t, d)
		r.Apply(base)
	}
	publish := func() {
		source := []string{"embedded", "zoo"}[dice.IntN(2)]
		c := Catalog{Services: map[string][]policy.EndpointSpec{}}
		m.published[source] = map[string]string{}
		for range dice.IntN(8) {
			name, site := endpointName(), sites[dice.IntN(4)]
			if _, twice := m.published[source][name]; twice {
				continue
			}
			m.published[source][name] = site
			s, short, _ := strings.Cut(name, "/")
			c.Services[s] = append(c.Services[s], ep(short, site))
		}
		r.Publish(source, c)
	}
	apply()
	for step := range 400 {
		gen := r.Snapshot().Gen
		switch dice.IntN(12) {
		case 0:
			apply()
		case 1, 2:
			publish()
		case 3, 4, 5, 6:
			name, v := endpointName(), policy.Verdict{State: policy.State(dice.IntN(4)), TTL: uint32(dice.IntN(3))}
			_, there := m.endpoints()[name]
			if got := r.Report(name, v); got != there {
				t.Fatalf("seed %d, step %d: report of %s: %v", seed, step, name, got)
			}
			if there {
				m.probed[name] = v
			}
		case 7, 8:
			o := Override{Target: target(), State: policy.Up + policy.State(dice.IntN(3))}
			if dice.IntN(2) == 0 {
				o.Until = time.Now().Add(time.Duration(1+dice.IntN(20)) * time.Second)
			}
			must(t, r.Force(o))
			m.overrides[o.Target], m.until[o.Target] = o.State, o.Until
		case 9:
			x := target()
			_, there := m.overrides[x]
			if err := r.Unforce(x); there != (err == nil) {
				t.Fatalf("seed %d, step %d: unforce %v: %v", seed, step, x, err)
			}
			delete(m.overrides, x)
			delete(m.until, x)
		case 10:
			time.Sleep(time.Duration(dice.IntN(6000)) * time.Millisecond)
		case 11:
			if dice.IntN(5) > 0 {
				continue
			}
			must(t, stop()) // a restart: sources have not yet published, verdicts have no TTL
			r = New(Options{Store: store})
			must(t, r.Restore())
			stop = start(t, r)
			r.Apply(base)
			m.published = map[string]map[string]string{}
			for name, v := range m.probed {
				m.probed[name] = policy.Verdict{State: v.State}
			}
			gen = 0
		}
		synctest.Wait()
		m.settle(time.Now())
		compare(t, fmt.Sprintf("seed %d, step %d", seed, step), r, m, gen)
	}
	must(t, stop())
}

func compare(t *testing.T, when string, r *Registry, m *model, gen uint64) {
	t.Helper()
	s := r.Snapshot()
	if s.Gen < gen || s.Health.Len() != s.Plan.NumEndpoints() {
		t.Fatalf("%s: generation %d after %d, health of %d for %d endpoints", when, s.Gen, gen, s.Health.Len(), s.Plan.NumEndpoints())
	}
	want := m.endpoints()
	if s.Plan.NumEndpoints() != len(want) {
		t.Fatalf("%s: endpoints %v, want %v", when, names(s.Plan), want)
	}
	for name, site := range want {
		id, ok := s.Plan.EndpointByName(name)
		if !ok || s.Plan.SiteName(s.Plan.Endpoint(id).Site) != site {
			t.Fatalf("%s: endpoint %s is not there, or not at %s", when, name, site)
		}
		v := m.verdict(name, site)
		if got := s.Health.Of(id); got != v {
			t.Fatalf("%s: %s is %+v, want %+v", when, name, got, v)
		}
		if d, _ := r.Detail(name); d.State != v.State || d.Forced != v.Forced || d.Probed != m.probed[name].State || (d.By != nil) != v.Forced ||
			d.By != nil && d.By.State != v.State {
			t.Fatalf("%s: details %+v, want %+v, probed %+v", when, d, v, m.probed[name])
		}
	}
}

// TestConcurrentUse: everybody at once, for the race detector; every Snapshot seen hangs together, and generations only grow.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := applied(t, Options{Store: newMemory()})
		c := mustCompile(t, definition())
		stop := start(t, r)
		var writers, readers sync.WaitGroup
		var done atomic.Bool
		for worker := range 4 {
			writers.Go(func() {
				dice := rand.New(rand.NewPCG(uint64(worker), 3))
				for i := range 300 {
					switch dice.IntN(8) {
					case 0:
						r.Apply(c)
					case 1:
						r.Publish(fmt.Sprint("s", worker), catalog("api", ep(fmt.Sprint("e", i%7), "eu")))
					case 2:
						_ = r.Force(Override{Target: siteEU, State: policy.Drained, Until: time.Now().Add(time.Millisecond)})
					case 3:
						_ = r.Unforce(siteEU)
					case 4:
						_, _ = r.Resolve("web/a")
						r.Details()
						r.Refused()
						r.measure()
						_, cancel := r.Subscribe()
						cancel()
						time.Sleep(time.Millisecond)
					default:
						r.Report("web/a", policy.Verdict{State: policy.State(dice.IntN(4)), TTL: uint32(i)})
					}
				}
			})
		}
		for range 2 {
			readers.Go(func() {
				last := uint64(0)
				for !done.Load() {
					s := r.Snapshot()
					if s.Gen < last || s.Health.Len() != s.Plan.NumEndpoints() {
						t.Errorf("generation %d after %d; health of %d for %d endpoints", s.Gen, last, s.Health.Len(), s.Plan.NumEndpoints())
						return
					}
					last = s.Gen
					time.Sleep(100 * time.Microsecond)
				}
			})
		}
		writers.Wait()
		done.Store(true)
		readers.Wait()
		must(t, stop())
	})
}
