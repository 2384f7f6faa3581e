// Package quorum makes one verdict on each endpoint of what several probers see, and holds still where they cannot know.
//
// A Matrix has a row for every endpoint and a column for every prober. Reports come in (Own, Hear), time passes, and Decide says
// what changed. It is pure: time is an argument, a length since some moment of the caller's, and nothing here waits, locks or asks.
//
// Four things keep a verdict from changing wrongly. A vote that is old is no vote, and no vote is not "down". A prober that loses
// most of what it checks while others do not is suspect: it has no vote, and its own node keeps what it believed. A node that hears
// nobody any more believes its own eyes only where they saw something change since. And a state that has just changed for the
// second time in a row is held for a while, each time for longer.
package quorum

import (
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// Limits of what others may make a Matrix hold.
const (
	MaxProbers = 64  // besides this one
	MaxName    = 128 // bytes of the name, site and region of a prober
	minSilence = 3   // targets that must fall silent together before a prober that has nobody to ask doubts itself
	minLost    = 2   // targets that must fail for a prober alone before it is suspect
	doublings  = 5   // of a hold-down
	quiet      = 10  // hold-downs without a change that end a row of changes
	suspicious = 0.5 // share of its targets that a prober loses alone before it is suspect
)

// Keep is how long a prober that is heard no more is remembered. While one is, this node knows that it is cut off.
const Keep = time.Hour

// MaxHold bounds hold-downs.
const MaxHold = 10 * time.Minute

// A Prober is who looks, and from where.
type Prober struct {
	Name   string // unique among all
	Site   string // "" if it does not say
	Region string // what RegionFirst compares; "" if it does not say, and then it is in no region but its own
}

// A Vote is what one prober says of one endpoint. All moments are those of the Matrix that holds it.
type Vote struct {
	State   policy.State  // Up or Down; anything else: it has seen it, but has no vote
	TTL     uint32        // seconds, as in policy.Verdict; 0: no bound
	Failing bool          // the last check failed
	Silent  bool          // and nothing came back: the endpoint may be gone, or the way to it
	Since   time.Duration // when State came to be
	Checked time.Duration // end of the last check
	Latency time.Duration // of the last check
}

// A Target is an endpoint and how votes on it count.
type Target struct {
	Endpoint string // full name, "service/endpoint"
	Key      uint64 // what probers call it among themselves; 0: it is not shared
	Rule     Rule
	Hold     time.Duration // the first hold-down after a change that reverts one; at most MaxHold. 0: none
	Fresh    time.Duration // a vote whose last check is older than this is none
	Settle   time.Duration // how long it takes to find out anew whether it works
}

// A Report is what one prober sees, all of it or what changed.
type Report struct {
	Prober
	Boot    uint64        // grows from start to start of the prober
	Seq     uint64        // grows from report to report
	TTL     time.Duration // the report counts for this long
	Full    bool          // all it sees: what is not in it is not seen
	Suspect bool          // the prober doubts itself
	Entries []Entry
}

// An Entry is a Vote on one endpoint.
type Entry struct {
	Key  uint64
	Vote Vote
}

// A Change is a new Verdict on one endpoint.
type Change struct {
	Endpoint string
	Verdict  policy.Verdict
	Why      string // one line, for people
}

// Tallies count what a Matrix did not let change an answer, since it was made.
type Tallies struct {
	Held    uint64 // changes put off by a hold-down
	Suspect uint64 // changes that nobody but a prober that doubts itself wanted
	CutOff  uint64 // changes wanted by a prober that hears nobody any more, and saw nothing change since
}
