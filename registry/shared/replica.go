package shared

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/registry"
)

// A Record is what was last decided about one target, and by whom. Of two about the same target the newer counts, on every node.
type Record struct {
	Version  uint64             `json:"version"`            // grows by one with each decision that knew of the last
	Time     time.Time          `json:"time"`               // of the decision
	Node     string             `json:"node"`               // where it was made
	Override *registry.Override `json:"override,omitempty"` // nil: it was ended
}

// newer reports whether a counts and b does not: the later version; of two nodes that decided without knowing of each other, the later time,
// then the name. It is a strict order.
func newer(a, b Record) bool {
	return cmp.Or(cmp.Compare(a.Version, b.Version), a.Time.Compare(b.Time), cmp.Compare(a.Node, b.Node)) > 0
}

// ended reports whether nothing is in force by the Record.
func (rec Record) ended(now time.Time) bool {
	return rec.Override == nil || !rec.Override.Until.IsZero() && !rec.Override.Until.After(now)
}

// An Item is a value of a KV, and the index of its last change.
type Item struct {
	Value []byte
	Index uint64
}

// A replica is what one node knows of the Records of all. It reads no clock and does no I/O.
type replica struct {
	node  string
	known map[string]Record // by target
	there map[string]remote // what the KV has, as far as is known
	bad   map[string]string // what the KV has and nobody can read
}

// A remote is a Record in the KV.
type remote struct {
	Record
	index  uint64 // of its last change; 0: there is none
	pushed uint64 // version that was written and has not been seen there yet; 0: none
}

func newReplica(node string) *replica {
	return &replica{node: node, known: map[string]Record{}, there: map[string]remote{}, bad: map[string]string{}}
}

// decide returns the Record of a decision of this node. It is not kept before keep.
func (r *replica) decide(target string, o *registry.Override, now time.Time) Record {
	return Record{Version: max(r.known[target].Version, r.there[target].Version) + 1, Time: now.UTC().Round(0), Node: r.node, Override: o}
}

// keep takes a Record over, and reports whether it is newer than what was known.
func (r *replica) keep(target string, rec Record) bool {
	if old, ok := r.known[target]; ok && !newer(rec, old) {
		return false
	}
	r.known[target] = rec
	return true
}

// learn takes in what the KV has and returns the targets of which it has something newer.
func (r *replica) learn(items map[string]Item) (news []string) {
	clear(r.bad)
	for _, target := range slices.Sorted(maps.Keys(items)) {
		item := items[target]
		rec, err := decode(target, item.Value)
		if err != nil {
			r.bad[target] = err.Error()
			r.there[target] = remote{index: item.Index}
			continue
		}
		r.there[target] = remote{Record: rec, index: item.Index} // if the answer is older than the last, writes are refused until the next
		if old, ok := r.known[target]; !ok || newer(rec, old) {
			news = append(news, target)
		}
	}
	for target, t := range r.there {
		if _, ok := items[target]; !ok && t.pushed == 0 {
			delete(r.there, target)
		}
	}
	return news
}

// pending returns the targets of which the KV has yet to be told.
func (r *replica) pending() (targets []string) {
	for target, rec := range r.known {
		if t, ok := r.there[target]; !ok && rec.Override != nil || ok && newer(rec, t.Record) && t.pushed < rec.Version {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets
}

// pushed notes that a Record was written to the KV in place of what was there.
func (r *replica) pushed(target string, rec Record) {
	t := r.there[target]
	t.pushed = max(t.pushed, rec.Version)
	r.there[target] = t
}

// decode reads a Record and checks that it is about the target.
func decode(target string, value []byte) (rec Record, err error) {
	var t registry.Target
	if err := t.UnmarshalText([]byte(target)); err != nil {
		return rec, err
	}
	if err := json.Unmarshal(value, &rec); err != nil {
		return rec, fmt.Errorf("what is saved of %s cannot be read: %w", target, err)
	}
	if rec.Version == 0 || rec.Override != nil && rec.Override.Target != t {
		return Record{}, fmt.Errorf("what is saved of %s is about something else", target)
	}
	return rec, nil
}
