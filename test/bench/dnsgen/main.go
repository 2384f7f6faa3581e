// Command dnsgen loads a DNS server over UDP in a closed loop: so many queries are outstanding, and each answer makes room for one
// more. It sends and receives in batches, so that it costs less than what it measures, and asks things that no cache holds.
//
//	-kind name    one name (-name), the same all the time
//	-kind subnet  the same name for the clients of random IPv4 /24 networks (RFC 7871)
//	-kind names   n0 … nN of -zone, of which -missing percent do not exist; with -zones M, of zone0 … zoneM below it
//
// It prints how many were answered and lost, and the response codes.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// A load is what is asked of whom.
type load struct {
	server   string
	kind     string
	name     string
	zone     string
	zones    int
	names    int
	missing  int
	queries  int // different ones
	sockets  int
	window   int // outstanding for each socket
	duration time.Duration
	seed     uint64
}

// A tally is what came of it.
type tally struct {
	answered, lost uint64
	rcodes         [16]uint64
}

func (t *tally) add(o *tally) {
	t.answered += o.answered
	t.lost += o.lost
	for i, n := range o.rcodes {
		t.rcodes[i] += n
	}
}

func main() {
	var l load
	flag.StringVar(&l.server, "server", "127.0.0.1:53", "who is asked, IPv4 ADDRESS:PORT")
	flag.StringVar(&l.kind, "kind", "name", "what is asked: name, subnet or names")
	flag.StringVar(&l.name, "name", "dyn.example.com", "the name of kinds name and subnet")
	flag.StringVar(&l.zone, "zone", "example.com", "the zone of kind names")
	flag.IntVar(&l.zones, "zones", 0, "zones below the zone of kind names; 0: it is asked for itself")
	flag.IntVar(&l.names, "names", 100_000, "names that exist, in each zone")
	flag.IntVar(&l.missing, "missing", 0, "percent of queries for names that do not")
	flag.IntVar(&l.queries, "queries", 110_000, "different queries")
	flag.IntVar(&l.sockets, "sockets", 8, "sockets")
	flag.IntVar(&l.window, "window", 50, "queries outstanding on each socket, at most 256")
	flag.DurationVar(&l.duration, "for", time.Second, "how long")
	flag.Uint64Var(&l.seed, "seed", 1, "of the dice")
	flag.Parse()
	sum, err := l.run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "dnsgen:", err)
		return
	}
	fmt.Printf("Queries completed: %d\nQueries lost: %d\nQueries per second: %.0f\nResponse codes:", sum.answered, sum.lost,
		float64(sum.answered)/l.duration.Seconds())
	for code, n := range sum.rcodes {
		if n > 0 {
			fmt.Printf(" %s %d", dns.RcodeToString[code], n)
		}
	}
	fmt.Println()
}

// run asks until the time is up.
func (l *load) run(ctx context.Context) (*tally, error) {
	questions, err := l.questions(rand.New(rand.NewPCG(l.seed, 0)))
	if err != nil {
		return nil, err
	}
	l.window = min(max(l.window, 1), maxWindow)
	ctx, cancel := context.WithTimeout(ctx, l.duration)
	defer cancel()
	tallies, errs := make([]tally, l.sockets), make([]error, l.sockets)
	var wg sync.WaitGroup
	for i := range l.sockets {
		wg.Go(func() {
			first := i * len(questions) / l.sockets
			errs[i] = l.socket(ctx, questions, first, &tallies[i])
		})
	}
	wg.Wait()
	var sum tally
	for i := range tallies {
		sum.add(&tallies[i])
	}
	return &sum, errors.Join(errs...)
}

// questions makes the queries, packed.
func (l *load) questions(r *rand.Rand) ([][]byte, error) {
	out := make([][]byte, l.queries)
	if l.kind == "name" {
		out = out[:1]
	}
	for i := range out {
		m := new(dns.Msg)
		switch l.kind {
		case "name":
			m.SetQuestion(dns.Fqdn(l.name), dns.TypeA)
		case "subnet":
			m.SetQuestion(dns.Fqdn(l.name), dns.TypeA)
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24,
				Address: net.IPv4(byte(1+r.IntN(223)), byte(r.IntN(256)), byte(r.IntN(256)), 0)}}
		case "names":
			prefix := "n"
			if r.IntN(100) < l.missing {
				prefix = "missing"
			}
			zone := dns.Fqdn(l.zone)
			if l.zones > 0 {
				zone = fmt.Sprintf("zone%d.%s", r.IntN(l.zones), zone)
			}
			m.SetQuestion(fmt.Sprintf("%s%d.%s", prefix, r.IntN(l.names), zone), dns.TypeA)
		default:
			return nil, fmt.Errorf("there is no kind %q", l.kind)
		}
		m.RecursionDesired = false
		var err error
		if out[i], err = m.Pack(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const (
	maxWindow = 256
	silence   = 200 * time.Millisecond // after which what is outstanding counts as lost
)

// socket asks by one socket from the first question on, round and round.
func (l *load) socket(ctx context.Context, questions [][]byte, first int, t *tally) error {
	conn, err := net.Dial("udp4", l.server)
	if err != nil {
		return err
	}
	defer conn.Close()
	batch := ipv4.NewPacketConn(conn.(*net.UDPConn))
	out, in := messages(l.window), messages(l.window)
	next, id, free := first, uint16(first), l.window
	for ctx.Err() == nil {
		for i := range free {
			q := questions[next]
			if next++; next == len(questions) {
				next = 0
			}
			buf := append(out[i].Buffers[0][:0], q...)
			binary.BigEndian.PutUint16(buf, id)
			id++
			out[i].Buffers[0] = buf
		}
		for sent := 0; sent < free; {
			n, err := batch.WriteBatch(out[sent:free], 0)
			if err != nil {
				return err
			}
			sent += n
		}
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		n, err := batch.ReadBatch(in, 0)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.lost += uint64(l.window)
			free = l.window
			continue
		case err != nil:
			return err
		}
		for i := range in[:n] {
			t.rcodes[in[i].Buffers[0][3]&15]++
		}
		t.answered += uint64(n)
		free = n
	}
	return nil
}

// messages returns a batch with a buffer for each.
func messages(n int) []ipv4.Message {
	out := make([]ipv4.Message, n)
	for i := range out {
		out[i].Buffers = [][]byte{make([]byte, 1232)}
	}
	return out
}
