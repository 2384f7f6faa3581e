package dnsserver

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// What a Server remembers of who asks for steered names.
const (
	demandDecay = 3600        // seconds after which a question counts 1/e
	gatherTime  = time.Second // how often samples are gathered
	sampleRing  = 512         // samples that have room until then, of each Answerer
	sampleAim   = 128         // samples to take in that time, of each Answerer, if it has so much to do
	recordAim   = 8           // samples that become Records, of each Answerer in that time
	keptRecords = 1024        // the last ones
	recordRoom  = 128         // the most endpoints of a service whose answers are recorded: each Record names them all
)

// A sampler notes some of the steered answers of one Answerer: one of every few, as many as are enough for a picture. The worker alone writes, and
// pays a subtraction for an answer; who gathers reads at the same time. Neither waits.
type sampler struct {
	left     uint32        // answers until the next sample
	since    uint32        // answers that it stands for
	every    atomic.Uint32 // one of so many is taken
	_        [64]byte
	to       atomic.Uint64 // samples written; the worker's
	lost     atomic.Uint64 // answers of samples for which there was no room
	_        [64]byte
	from     atomic.Uint64 // samples read; the gatherer's, as is the next
	gathered uint64        // answers since every was set
	taken    []sample      // room for gather
	ring     [sampleRing]sample
}

// A sample is one answer, for as many as it stands for. Until it is gathered it holds the snapshot.
type sample struct {
	snapshot *registry.Snapshot
	steer    *zone.Steer
	asked    policy.Query
	rrtype   uint16
	answers  uint32
}

func newSampler() *sampler {
	s := &sampler{left: 1, since: 1}
	s.every.Store(1)
	return s
}

// sample notes the answer just decided on, if it is its turn.
func (a *Answerer) sample() {
	if s := a.sampler; s != nil {
		if s.left--; s.left == 0 {
			s.take(a)
		}
	}
}

// take takes a sample, if there is room, and draws when the next is due: at random, so that it does not fall into step with the queries.
func (s *sampler) take(a *Answerer) {
	if to := s.to.Load(); to-s.from.Load() < sampleRing {
		s.ring[to%sampleRing] = sample{a.snapshot, a.steered, a.asked, a.rrtype, s.since}
		s.to.Store(to + 1)
	} else {
		s.lost.Add(uint64(s.since))
	}
	draw, _ := bits.Mul64(a.asked.Dice*0x9e3779b97f4a7c15, 2*uint64(s.every.Load())-1)
	s.left = 1 + uint32(draw)
	s.since = s.left
}

// gather calls add with each sample that was taken since the last time, and how many answers it stands for: those for which there was no room, too.
// The ring is emptied first, so that little is lost meanwhile.
func (s *sampler) gather(add func(x sample, answers float64)) {
	taken := uint64(0)
	from, to := s.from.Load(), s.to.Load()
	s.taken = s.taken[:0]
	for i := from; i < to; i++ {
		x := &s.ring[i%sampleRing]
		taken += uint64(x.answers)
		s.taken = append(s.taken, *x)
		*x = sample{}
	}
	s.from.Store(to)
	if taken == 0 {
		return
	}
	lost := s.lost.Swap(0)
	s.gathered += taken + lost
	scale := 1 + float64(lost)/float64(taken)
	for i := range s.taken {
		add(s.taken[i], float64(s.taken[i].answers)*scale)
	}
	clear(s.taken)
}

// adapt has so many samples taken in future that sampleAim come until the next call.
func (s *sampler) adapt() {
	const most = 1 << 20
	was := uint64(s.every.Load())
	s.every.Store(uint32(min(max(s.gathered/sampleAim, was/2, 1), most)))
	s.gathered = 0
}

// A gatherer keeps the demand that the samples of all Answerers show.
type gatherer struct {
	mu       sync.Mutex // guards what follows
	sketch   *demand.Sketch
	samplers []*sampler
	records  []Record // a ring
	next     int      // where the next one goes
	scratch  policy.Scratch
}

// Answers returns some of the last steered answers, the newest first: all of a server with little to do, of one with much a sample. They hold what it
// takes to replay them.
func (s *Server) Answers() []Record {
	g := &s.demand
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gather(time.Now().Unix())
	out := append(slices.Clone(g.records[g.next:]), g.records[:g.next]...)
	slices.Reverse(out)
	return out
}

// keep keeps a Record of a sample.
func (g *gatherer) keep(x sample) {
	if len(x.snapshot.Plan.Endpoints(x.asked.Service)) > recordRoom {
		return
	}
	r := newRecord(x.snapshot, strings.Clone(x.steer.Record), x.rrtype, x.asked, &g.scratch)
	if len(g.records) < keptRecords {
		g.records = append(g.records, r)
		return
	}
	g.records[g.next] = r
	g.next = (g.next + 1) % keptRecords
}

// Demand returns who asks for which steered names: the records, with names of wildcards as such, the networks of the clients, and how often.
func (s *Server) Demand() demand.Report {
	return s.demand.report(time.Now().Unix())
}

// gather takes in what was sampled. Callers hold mu.
func (g *gatherer) gather(now int64) {
	for _, s := range g.samplers {
		n := s.to.Load() - s.from.Load()
		s.gather(func(x sample, answers float64) {
			g.sketch.Add(demand.Key{Name: x.steer.Record, Type: dns.Type(x.rrtype).String(), Client: demand.Network(x.asked.Client)}, answers, now, rand.Uint64())
			if n <= recordAim || rand.Uint64N(n) < recordAim {
				g.keep(x)
			}
		})
	}
	g.scratch.Forget()
}

// report returns the demand at a time.
func (g *gatherer) report(now int64) demand.Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gather(now)
	return g.sketch.Report(now)
}

// round gathers at the end of a gatherTime.
func (g *gatherer) round(now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gather(now)
	for _, s := range g.samplers {
		s.adapt()
	}
}

// run gathers until ctx ends.
func (g *gatherer) run(ctx context.Context) error {
	tick := time.NewTicker(gatherTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			g.round(now.Unix())
		}
	}
}
