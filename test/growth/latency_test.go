//go:build linux

package growth

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// perSecond is how many queries are asked: a steady load that leaves the machine time, so that what is measured is the server and
// not the queue before it.
const perSecond = 2000

// latencies are how long answers took.
type latencies struct {
	p50, p99, worst time.Duration
	asked, lost     int
}

func (l latencies) String() string {
	return fmt.Sprintf("%d queries, %d lost, half in %v, 99%% in %v, all in %v", l.asked, l.lost, l.p50, l.p99, l.worst)
}

// compare asks in periods that take turns: nothing else happens, then one zone is read again and again. It tells the median of the
// ratios of neighbours, so that whatever else slows the machine down slows both.
func (w *world) compare(t *testing.T, pairs int, d time.Duration) {
	t.Helper()
	serial, slowest := uint32(1), time.Duration(0)
	reload := func() {
		serial++
		w.writeZone(t, 0, serial)
		at := time.Now()
		w.until(t, serial, 30*time.Second)
		slowest = max(slowest, time.Since(at))
	}
	var ratios []float64
	for range pairs {
		calm := w.measure(t, d/time.Duration(pairs), nil)
		reloading := w.measure(t, d/time.Duration(pairs), reload)
		ratios = append(ratios, float64(reloading.p99)/float64(max(calm.p99, 1)))
		t.Logf("calm:                     %v", calm)
		t.Logf("while one zone is reread: %v", reloading)
	}
	slices.Sort(ratios)
	t.Logf("99%% of answers come in %.2f times the time while one zone is reread: the median of %.2f; %d reloads, the slowest after %v, of which one to two "+
		"seconds are the watch", ratios[len(ratios)/2], ratios, serial-1, slowest.Round(10*time.Millisecond))
}

// measure asks names all over the zones for some time, and meanwhile does something, if it is told to: again and again, and at least once
// to the end.
func (w *world) measure(t *testing.T, d time.Duration, meanwhile func()) latencies {
	t.Helper()
	conn, err := net.Dial("udp", w.dns)
	if err != nil {
		t.Fatal(err)
	}
	var sent [1 << 16]atomic.Int64 // when the query of an ID was sent; 0 = it is answered
	var took []time.Duration
	var receiver, other sync.WaitGroup
	began := time.Now()
	receiver.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if at := sent[binary.BigEndian.Uint16(buf)].Swap(0); n >= 12 && at != 0 {
				took = append(took, time.Since(began)-time.Duration(at))
			}
		}
	})
	var busy atomic.Bool
	if meanwhile != nil {
		busy.Store(true)
		other.Go(func() {
			for first := true; first || time.Since(began) < d; first = false {
				meanwhile()
			}
			busy.Store(false)
		})
	}
	asked := 0
	ask := func() {
		m := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.%s.", rand.IntN(w.names), w.zone(rand.IntN(w.zones))), dns.TypeA)
		m.Id = uint16(asked)
		packed, err := m.Pack()
		if err != nil {
			t.Error(err)
			return
		}
		sent[m.Id].Store(int64(time.Since(began)))
		if _, err := conn.Write(packed); err == nil {
			asked++
		}
	}
	ticker := time.NewTicker(time.Millisecond)
	for now := range ticker.C {
		for due := int(now.Sub(began) * perSecond / time.Second); asked < due; {
			ask()
		}
		if now.Sub(began) > d && !busy.Load() {
			break
		}
	}
	ticker.Stop()
	other.Wait()
	time.Sleep(100 * time.Millisecond)
	conn.Close()
	receiver.Wait()
	l := latencies{asked: asked, lost: asked - len(took)}
	if slices.Sort(took); len(took) > 0 {
		l.p50, l.p99, l.worst = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	}
	return l
}
