package probes

import (
	"container/heap"
	"time"
)

// Shares of the interval by which a check may come early; together a tenth. The jitter keeps probers and endpoints that started
// together from staying in step. The batch lets what is due at about the same time share one wake-up of the process, which
// otherwise is a good part of the cost of a check. No check comes late: two of one endpoint start at most an interval apart,
// so fall failures in a row are seen within fall intervals and one timeout.
const (
	jitter   = 0.08
	batch    = 0.01
	maxBatch = 50 * time.Millisecond
	shortest = 1 - jitter - 2*batch // gap between two checks, as a share of the interval
)

// early returns by how much a check with the given interval may be started before its slot.
func early(interval time.Duration) time.Duration {
	return min(maxBatch, time.Duration(batch*float64(interval)))
}

// following returns the slot after the one at due, and how many slots are missed because now is past them already. It counts
// from due and not from when a check ran or ended, so that delays do not add up, and it leaves out what was missed instead of
// making up for it. It leaves room for the check at due to have been early. dice is in [0,1). All times are since one epoch.
func following(due, now, interval time.Duration, dice float64) (next time.Duration, missed int) {
	next = due + interval - early(interval) - time.Duration(dice*jitter*float64(interval))
	if next > now {
		return next, 0
	}
	missed = int((now-next)/interval) + 1
	return next + time.Duration(missed)*interval, missed
}

// A schedule is a heap of probes by when they are due; the first is the next.
type schedule []*probe

func (s *schedule) add(b *probe)    { heap.Push((*byDue)(s), b) }
func (s *schedule) remove(b *probe) { heap.Remove((*byDue)(s), b.index) }
func (s *schedule) fix(b *probe)    { heap.Fix((*byDue)(s), b.index) }

// byDue is the schedule as container/heap wants to see it.
type byDue schedule

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due < h[j].due }

func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byDue) Push(x any) {
	b := x.(*probe)
	b.index = len(*h)
	*h = append(*h, b)
}

func (h *byDue) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return b
}

// A queue holds probes first in, first out. A probe is in it at most once, and no removed ones outlive an Update, so it is no
// longer than the schedule.
type queue struct {
	items []*probe
	head  int
}

// push appends b. When most of the room is in front of the head, the rest moves there first, so that a queue that is never
// empty does not grow.
func (q *queue) push(b *probe) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		q.keep(func(*probe) bool { return true })
	}
	q.items = append(q.items, b)
}

// pop returns the oldest probe, or nil.
func (q *queue) pop() *probe {
	if q.head == len(q.items) {
		return nil
	}
	b := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return b
}

// keep takes out what wanted does not want.
func (q *queue) keep(wanted func(*probe) bool) {
	kept := q.items[:0]
	for _, b := range q.items[q.head:] {
		if wanted(b) {
			kept = append(kept, b)
		}
	}
	clear(q.items[len(kept):])
	q.items, q.head = kept, 0
}
