// Package share carries what probers see between nodes, over Redis.
//
// Each node writes all it sees, every few seconds, whether anything changed or not, under a key that expires; and reads what the others
// wrote. What changes in between it also publishes on a channel, for speed: a message that is lost costs nothing but time. Redis keeps
// no truth of its own. It may be slow, empty, gone or lying: then nodes do not hear each other, and package quorum says what follows.
package share

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/meridian-gslb/meridian/probes/quorum"
)

// Peers is what hears and tells. Votes have ages for moments.
type Peers interface {
	Full() quorum.Report       // all that this node sees
	Delta() quorum.Report      // what it sees anew
	Changed() <-chan struct{}  // a tick: it sees something anew
	Hear(*quorum.Report) error // what another sees; the error says why it is not taken
	SetLinked(bool)            // whether others could be heard just now
}

// Options are what a Link needs of others.
type Options struct {
	Config Config
	Log    *slog.Logger               // nil: no log
	Self   string                     // name of this prober
	Peers  Peers                      // required
	Note   func(from, to, why string) // is told when Redis comes ("up") or goes ("down"); nil: nobody is
}

// A Link exchanges reports with other nodes.
type Link struct {
	Options
	client  redis.UniversalClient
	boot    uint64
	index   string // key of the set of names
	channel string
	metrics metrics

	numbering sync.Mutex // guards seq
	seq       uint64

	mu        sync.Mutex // guards what follows
	up, tried bool
	since     time.Time // of up
	trouble   string    // of the last exchange
	exchanged time.Time // when one last succeeded
	refused   map[string]string
}

// Names and sizes.
const (
	pauseOfDeltas = 100 * time.Millisecond
	batch         = 8   // records that are read at once
	maxRefused    = 100 // probers whose refusal is remembered
)

// New returns a Link that is not connected. An error says that certificates cannot be read.
func New(o Options) (*Link, error) {
	o.Config = o.Config.withDefaults()
	client, err := o.Config.client()
	if err != nil {
		return nil, fmt.Errorf("share: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Note == nil {
		o.Note = func(string, string, string) {}
	}
	redis.SetLogger(quiet{})
	// All keys hash to one slot of a cluster, so that one exchange is with one node.
	index := o.Config.Prefix + ":{vantage}:v1"
	l := &Link{Options: o, client: client, boot: uint64(time.Now().UnixNano()), index: index, channel: index, refused: map[string]string{}}
	l.metrics = newMetrics(l)
	return l, nil
}

// quiet is what the client library logs to: what is wrong is in Status, once.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// key returns where a prober's report is.
func (l *Link) key(name string) string { return l.index + ":" + name }

// Run exchanges reports until ctx ends. It never fails: what is wrong with Redis is in Status, and it is tried again.
func (l *Link) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	parts.Go(func() { l.subscribe(ctx) })
	parts.Go(func() { l.publish(ctx) })
	l.every(ctx)
	parts.Wait()
	if err := l.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		l.Log.Debug("redis: closing", "err", err)
	}
	return nil
}

// every makes an exchange now and at each interval.
func (l *Link) every(ctx context.Context) {
	ticker := time.NewTicker(l.Config.Every)
	defer ticker.Stop()
	for {
		err := l.exchange(ctx)
		if ctx.Err() != nil {
			return
		}
		l.Peers.SetLinked(err == nil)
		l.outcome(err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// outcome notes how an exchange went, and logs when that differs from the last.
func (l *Link) outcome(err error) {
	l.mu.Lock()
	up, changed, from := err == nil, !l.tried || l.up != (err == nil), "down"
	if !l.tried {
		from = "unknown"
	} else if l.up {
		from = "up"
	}
	trouble := ""
	if err != nil {
		trouble = oneLine(err.Error())
	}
	news := changed || trouble != l.trouble
	if changed {
		l.since = time.Now()
	}
	if up {
		l.exchanged = time.Now()
	}
	l.tried, l.up, l.trouble = true, up, trouble
	l.mu.Unlock()
	switch {
	case up && changed:
		l.Log.Info("redis: what other probers see is heard", "addresses", strings.Join(l.Config.Addresses, ", "))
		l.Note(from, "up", "")
	case changed:
		l.Log.Warn("redis: other probers cannot be heard; what is believed stays, and what this node sees change counts", "err", trouble)
		l.Note(from, "down", trouble)
	case news:
		l.Log.Warn("redis: still no exchange with other probers", "err", trouble)
	}
}

// exchange writes what this node sees and reads what others do.
func (l *Link) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	record := l.record(l.Peers.Full)
	pipe := l.client.Pipeline()
	before := pipe.GetRange(ctx, l.key(l.Self), 0, fixed-1)
	pipe.Set(ctx, l.key(l.Self), record, l.Config.ttl())
	pipe.SAdd(ctx, l.index, l.Self)
	names := pipe.SRandMemberN(ctx, l.index, quorum.MaxProbers+1) // however many there are: any others are not taken anyway
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	l.metrics.published.Inc()
	l.lookFor(before.Val())
	others := slices.DeleteFunc(names.Val(), func(name string) bool { return name == l.Self })
	for some := range slices.Chunk(others, batch) {
		if err := l.read(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// lookFor looks whether another process writes under the name of this one: what was there before is not ours, although we wrote before.
func (l *Link) lookFor(before string) {
	boot, ours := bootOf(before)
	switch {
	case !ours || boot == l.boot:
		l.refuse(l.Self, "")
	case l.Status().Exchanged.IsZero(): // an earlier life of this process
	default:
		l.refuse(l.Self, oneLine(strings.TrimPrefix(quorum.ErrOwnName.Error(), "quorum: ")))
	}
}

// read reads the reports of some probers.
func (l *Link) read(ctx context.Context, names []string) error {
	pipe := l.client.Pipeline()
	replies := make([]*redis.StringCmd, len(names))
	for i, name := range names {
		replies[i] = pipe.GetRange(ctx, l.key(name), 0, MaxRecord) // one byte more than may be
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	var gone []any
	for i, name := range names {
		if b, err := replies[i].Bytes(); err == nil && len(b) == 0 {
			gone = append(gone, name) // it is there again with its next report
			continue
		} else if err == nil {
			l.hear(name, b)
		}
	}
	if len(gone) > 0 {
		return l.client.SRem(ctx, l.index, gone...).Err()
	}
	return nil
}

// hear takes what a prober says; name is under which it was found, "" if it came over the channel.
func (l *Link) hear(name string, b []byte) {
	rep, err := parseRecord(b)
	switch {
	case err == nil && rep.Name == l.Self && rep.Boot == l.boot:
		return // our own message
	case err == nil && name != "" && rep.Name != name:
		err = fmt.Errorf("it says that it is %q", rep.Name)
	case err == nil:
		name = rep.Name
		err = l.Peers.Hear(rep)
	}
	switch {
	case err == nil:
		l.metrics.heard.Inc()
		l.refuse(name, "")
	case errors.Is(err, quorum.ErrOld):
		l.metrics.old.Inc()
	default:
		l.metrics.refused.Inc()
		l.refuse(name, oneLine(strings.TrimPrefix(err.Error(), "quorum: ")))
	}
}

// refuse remembers why a prober's report is not taken, "" if it is, and logs what is new.
func (l *Link) refuse(name, why string) {
	name = oneLine(name)
	l.mu.Lock()
	was, known := l.refused[name]
	switch {
	case why == "":
		delete(l.refused, name)
	case known || len(l.refused) < maxRefused:
		l.refused[name] = why
	}
	l.mu.Unlock()
	if why != "" && was != why {
		l.Log.Warn("redis: the report of a prober is refused", "prober", name, "why", why)
	}
}

// record makes the bytes of a report, with its number: a higher number has later news.
func (l *Link) record(report func() quorum.Report) []byte {
	l.numbering.Lock()
	defer l.numbering.Unlock()
	rep := report()
	l.seq++
	rep.Boot, rep.Seq, rep.TTL = l.boot, l.seq, l.Config.ttl()
	return appendRecord(nil, &rep)
}

// publish tells others at once what changed, a few times a second at most.
func (l *Link) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.Peers.Changed():
		}
		if l.Up() { // else it would wait in vain; the next exchange has all
			if err := l.client.Publish(ctx, l.channel, l.record(l.Peers.Delta)).Err(); err != nil {
				l.Log.Debug("redis: a change is not published; the next exchange has it", "err", err)
			}
		}
		pause := time.NewTimer(pauseOfDeltas)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// subscribe hears what others publish. The library connects again when it has to.
func (l *Link) subscribe(ctx context.Context) {
	sub := l.client.Subscribe(ctx, l.channel)
	defer func() { _ = sub.Close() }() // there is nothing to lose
	messages := sub.Channel(redis.WithChannelSize(1000))
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			l.hear("", []byte(m.Payload))
		}
	}
}

// Up reports whether the last exchange succeeded.
func (l *Link) Up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// A Status is how a Link is.
type Status struct {
	Up        bool
	Tried     bool              // an exchange has succeeded or failed
	Since     time.Time         // of Up
	Exchanged time.Time         // when an exchange last succeeded; zero: none did
	Trouble   string            // of the last exchange; "": it succeeded
	Refused   map[string]string // why reports are refused, by prober; "" is one whose name is not known
}

// Status returns how the Link is.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Up: l.up, Tried: l.tried, Since: l.since, Exchanged: l.exchanged, Trouble: l.trouble, Refused: map[string]string{}}
	for name, why := range l.refused {
		s.Refused[name] = why
	}
	return s
}

// oneLine makes what others say fit for a log and a terminal.
func oneLine(s string) string {
	const most = 200
	out := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '.'
		}
		return r
	}, s)
	if len(out) > most {
		out = out[:most] + "..."
	}
	return out
}

// metrics are a Link's counters.
type metrics struct {
	reports                        *prometheus.CounterVec
	published, heard, old, refused prometheus.Counter
	up                             prometheus.GaugeFunc
}

func newMetrics(l *Link) metrics {
	reports := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "meridian_vantage_reports_total",
		Help: "Reports of probers by what became of them: published (whole ones of this node), heard, old (known already), refused.",
	}, []string{"result"})
	return metrics{
		reports:   reports,
		published: reports.WithLabelValues("published"),
		heard:     reports.WithLabelValues("heard"),
		old:       reports.WithLabelValues("old"),
		refused:   reports.WithLabelValues("refused"),
		up: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "meridian_redis_up",
			Help: "1 if the last exchange with Redis succeeded, else 0.",
		}, func() float64 {
			if l.Up() {
				return 1
			}
			return 0
		}),
	}
}

// Describe implements prometheus.Collector.
func (l *Link) Describe(ch chan<- *prometheus.Desc) {
	l.metrics.reports.Describe(ch)
	l.metrics.up.Describe(ch)
}

// Collect implements prometheus.Collector.
func (l *Link) Collect(ch chan<- prometheus.Metric) {
	l.metrics.reports.Collect(ch)
	l.metrics.up.Collect(ch)
}
