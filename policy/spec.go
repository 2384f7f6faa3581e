package policy

import (
	"iter"
	"net/netip"
	"time"
)

// A Spec is everything a Plan is compiled from, in names, as a person wrote it.
type Spec struct {
	Sites    []SiteSpec
	Networks []NetworkSpec
	Services []ServiceSpec
	Policies []PolicySpec

	// Where clients are that Networks says nothing of. Listed goes before Tables, whatever the lengths of the prefixes.
	Listed    []NetworkSpec
	Tables    []*NetworkTable // joined: see NetworkTable
	MaxRadius float64         // km: coordinates of Tables less accurate than this count as unknown; 0 = DefaultMaxRadius

	Latency []LatencySpec // round-trip times, for latency stages
}

// A Point is a place on earth in degrees: latitude -90..90, longitude -180..180.
type Point struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// A SiteSpec is one place that runs endpoints.
type SiteSpec struct {
	Name   string
	At     *Point   // nil: the site has no coordinates and is never "nearest"
	Region string   // "" or a name that geo stages can match
	Within []string // regions around Region, narrowest first
}

// A NetworkSpec says where the clients of a prefix are: at a site (its coordinates and regions), or at a point and/or in regions.
// The longest prefix wins.
type NetworkSpec struct {
	Prefix netip.Prefix
	Site   string // if set, At and the regions default to the site's
	At     *Point
	Region string
	Within []string // regions around Region, narrowest first
}

// inRegion reports whether the network names a region.
func (n *NetworkSpec) inRegion() bool { return n.Region != "" || len(n.Within) > 0 }

// A ServiceSpec is a named set of endpoints.
type ServiceSpec struct {
	Name      string
	Endpoints []EndpointSpec
}

// Limits of an endpoint.
const (
	MaxWeight = 1 << 20
	MaxText   = 1024 // bytes of Text, so that an answer fits into one datagram
	MaxALPN   = 8
)

// An EndpointSpec is what serves a service: an address (or a pair: one IPv4, one IPv6), a host by name, a text to hand out, or several
// of these. It has at least one of V4, V6, Host and Text.
type EndpointSpec struct {
	Name   string // unique in its service; the full name is "service/name"
	V4, V6 netip.Addr
	Host   string   // domain name, with or without the last dot: where CNAME, SRV, MX, HTTPS and SVCB answers lead; "" = none
	Text   string   // of TXT answers, at most MaxText bytes; "" = none
	ALPN   []string // protocols of HTTPS and SVCB answers, such as "h2"; at most MaxALPN of them
	Port   uint16   // 0 = not known; the edge and probes need one
	Site   string   // "" = no site
	Weight uint32   // 0..MaxWeight; 0 = drawn only when every other weight is gone
	Load   Load     // that counts until another is reported; Decide knows only that of its Health
	Meta   map[string]string
}

// A PolicySpec is a chain of stages, run top to bottom.
type PolicySpec struct {
	Name   string
	Stages []StageSpec
}

// All yields the stages of the policy and of its branches that have stages of their own, from the top to the bottom; not those of policies that
// branches refer to.
func (p *PolicySpec) All() iter.Seq[StageSpec] {
	return func(yield func(StageSpec) bool) { walk(p.Stages, yield) }
}

func walk(stages []StageSpec, yield func(StageSpec) bool) bool {
	for _, s := range stages {
		if !yield(s) {
			return false
		}
		var branches []Branch
		switch s := s.(type) {
		case Failover:
			branches = s.Branches
		case Weighted:
			branches = s.Branches
		}
		for _, b := range branches {
			if !walk(b.Stages, yield) {
				return false
			}
		}
	}
	return true
}

// A StageSpec is one stage: Healthy, Geo, Latency, Failover, Weighted, Shuffle, Sticky, OnePer, Canary, Schedule, Shed or Take.
type StageSpec interface{ stageName() string }

// A Branch is a chain of a stage's own over some of the candidates: those at its Sites.
type Branch struct {
	Sites  []string // empty: all, and endpoints at no site
	Weight uint32   // of a Weighted stage: 0..MaxWeight; 0 = drawn only when no other works

	// The chain: that of a policy, by its name, or stages. Policies must not lead to themselves.
	Policy string
	Stages []StageSpec
}

// Healthy drops endpoints that are down or drained. If not enough is left it fails open: all that are not drained count as up; if
// there is none of those either, all do. Stages after it see those that count as up as up. Enough is one endpoint, and at least Min of them and
// at least Threshold of the weight of all (of their number, if all weights are 0). A stage around the chain that holds it, if any, is told
// that there is not enough.
type Healthy struct {
	Threshold float64 // [0,1]; 0 = none
	Min       int     // 0 counts as 1
	Closed    bool    // fail closed instead: when nothing is up, answer nothing; what is up is kept, however little
}

// Geo ranks candidates by where the client is. The first matching rule decides: own networks (longest prefix), then the first of the
// regions of the client's place, from the narrowest, that has a rule, then Default. Sites that the rule does not list rank after those it lists: by distance if the client's
// coordinates are known, else in the order of the Spec. Endpoints without a site rank last. A second geo stage orders those to which
// the first gave the same rank.
type Geo struct {
	Rules   []GeoRule
	Default GeoTarget
}

// Latency ranks candidates by the round-trip times of their sites for the longest prefix of Spec.Latency around the client. The site of the shortest
// time, or LatencySpec.Best, and those about as fast share the first rank, then of the others the fastest and those about as fast, and so on. Sites without a time
// for that prefix rank after those with one, the nearest first. For clients of no prefix it is Geo with a Default of nearest, also in what ranks last, and
// a second such stage, or one of Geo, orders those to which the first gave the same rank.
type Latency struct {
	Within Margin // that times may differ by and still be about the same
}

// A GeoRule maps a network or a region to a target. Exactly one of Prefix and Region is set. Region is the name of a region of a site or
// network, or with Tables one that a PlaceSpec can have: see PlaceSpec.Regions.
type GeoRule struct {
	Prefix netip.Prefix
	Region string
	To     GeoTarget
}

// A GeoTarget is an ordered list of sites, or the nearest by great-circle distance. Nearest with a client of unknown place falls
// back to the order of the Spec's sites (never to 0,0), but a client at a site without coordinates has that site first. Sites
// equally far, to the metre, share a rank; sites without coordinates rank after those with.
//
// Within, Limit and Bias are of Nearest. With Within, the nearest site and those that are farther by no more than this share of its distance share a
// rank, then of the others the nearest and those that go with it, and so on. Limit keeps, of the candidates, those at the nearest so many of
// their sites; of sites of one rank the nearest count, then the order of the Spec.
//
// Fence keeps the candidates at the Sites, or at the nearest Limit of all sites of the service, even if all of them are down: then it brings back those
// that a healthy stage dropped and fails open, unless that stage fails closed. Without any there it does nothing.
type GeoTarget struct {
	Nearest bool
	Sites   []string
	Within  float64 // [0,1]
	Limit   int     // 0: none
	Bias    []SiteBias
	Fence   bool
}

// A SiteBias makes a site seem nearer or farther, as Route 53 does: at 1 to 99 its distance is less by so many per cent; at -1 to -99 it is
// distance/(1-n/100).
type SiteBias struct {
	Site string
	Bias int // [-MaxBias,MaxBias]
}

// MaxBias is the largest SiteBias.Bias, and -MaxBias the smallest.
const MaxBias = 99

// Failover keeps the first group of candidates that still has at least Threshold of its weight, and drops the others. Groups are
// the listed Sites in order (endpoints elsewhere form a last group), or, without a list, the ranks that an earlier geo stage gave. With Order the
// list depends on where the client is: that of the rule that a geo stage would follow; with nearest each distance is a group. It has no limit and no fence.
// A group's weight is that of its candidates and of those that a healthy stage dropped; if all of it is 0, their numbers count. What
// is down counts as missing even if no healthy stage dropped it. If no group has Threshold, the first group with any candidate up is
// kept, or with any left.
//
// Trickle is the share of the questions, drawn at random, that get the second group that has Threshold, if there is one: it keeps a standby warm.
//
// With Branches, which exclude the other fields, it runs their chains in order and keeps what the first that works keeps. A branch works if
// it has endpoints, anything is left of them, and no stage inside says that there is not enough. If none works, the first that has an endpoint
// up is kept, or else the first that has any.
type Failover struct {
	Sites     []string
	Order     *Geo    // instead of Sites
	Threshold float64 // (0,1]; 0 means 0.5
	Trickle   float64 // [0,0.5]
	Branches  []Branch
}

// Weighted orders candidates of equal rank by a random draw without replacement, each with probability weight/sum. Weight 0 is drawn
// after all others, evenly.
//
// With Branches it does that to branches, by their weights, and keeps what the first that works keeps, as Failover does.
//
// With Multi it keeps each candidate with probability weight/max, of those of its rank, and drops the others: those of the largest weight always
// stay. The order is not changed.
//
// With Grouped it first draws one of the groups of those that share something, by the sum of their weights, then an order inside it, and then the
// next group. Those that share nothing are groups by themselves; groups without weight come after all others.
type Weighted struct {
	Branches []Branch
	Multi    bool
	Grouped  bool
	By       Shared // of Grouped
}

// Shuffle is Weighted as if all weights were 1.
type Shuffle struct{}

// Sticky orders candidates of equal rank by rendezvous hashing of Query.Key and their names: a client keeps its endpoint while that is there,
// and when one of n goes, only its own clients move. Weights count as they do in a draw; weight 0 comes last.
//
// With Bound, an endpoint whose load is more than Bound times the mean of its rank, by weight, comes after the others for as many of its clients, always
// the same ones, as it has too many: 1 - Bound*mean/load of them. Their next one in order, that is not beyond the bound for them too, goes first (consistent
// hashing with bounded loads: Mirrokni, Thorup, Zadimoghaddam, 2018).
type Sticky struct {
	Bound float64 // 0: none; else more than 1, at most MaxBound
}

// MaxBound is the largest Sticky.Bound.
const MaxBound = 100

// OnePer keeps, of the candidates that share something, the one that comes first.
type OnePer struct{ By Shared }

// Shared is what candidates have in common.
type Shared uint8

// The things that endpoints share.
const (
	SharedSite   Shared = iota // the site; those at no site share none
	SharedSubnet               // the IPv4 /24 or, of endpoints without IPv4, the IPv6 /48; those without address share none
)

// Canary sends a share of the clients, always the same ones by their Query.Key, and those of some networks by their Query.Client, to the endpoints
// at some sites, and keeps all others away from them. If there are none of those that a client is for, it does nothing.
type Canary struct {
	Share    float64 // [0,1]
	Networks []netip.Prefix
	Sites    []string
}

// Schedule keeps, while a window is open, the candidates at its sites; of several that are open the first counts. Without any at these sites, and
// while none is open, it does nothing. The Decision's TTL lasts no longer than until a window opens or closes.
type Schedule struct {
	Zone    *time.Location // of the clock on the wall; nil: UTC
	Windows []Window
}

// A Window is a part of some days of the week.
type Window struct {
	Days     uint8 // on which it opens: bit 0 Sunday … bit 6 Saturday; 0: all
	From, To int   // minutes of the day, 0..1440; it closes on the next day if To is not after From
	Sites    []string
}

// Shed sends a client, always the same one by its Query.Key, elsewhere when where it would go has too much to do, or is lost.
//
// Sites count with their endpoints that are up, and their mean load by weight; endpoints at no site count each by itself. A client's home is one of those of the best
// rank, those included of which nothing is up, drawn by the weight of all their endpoints. If it has a load of Low or less, all its clients stay; from there to High a rising share of them leaves,
// and at High all do. Those who leave, and those of a home of which nothing is up, spread over all others that they do not leave too, whatever the
// rank, in proportion to the room there: weight times what is missing to High. Who does not leave, or finds no room, stays.
//
// It ranks where the client goes before all others, and drops what the client leaves.
type Shed struct{ Low, High float64 } // [0,1], Low < High

// Take keeps the first N candidates, N ≥ 1. It does nothing if the Query says how many it wants.
type Take struct{ N int }

func (Healthy) stageName() string  { return "healthy" }
func (Geo) stageName() string      { return "geo" }
func (Latency) stageName() string  { return "latency" }
func (Failover) stageName() string { return "failover" }
func (Weighted) stageName() string { return "weighted" }
func (Shuffle) stageName() string  { return "shuffle" }
func (Sticky) stageName() string   { return "sticky" }
func (OnePer) stageName() string   { return "one_per" }
func (Schedule) stageName() string { return "schedule" }
func (Canary) stageName() string   { return "canary" }
func (Shed) stageName() string     { return "shed" }
func (Take) stageName() string     { return "take" }

// A Problem is one thing wrong with a Spec. Path leads to it in the terms of the configuration file, e.g.
// {"policies", "close-by", "1", "geo", "europe"}; numbers are zero-based positions in lists.
type Problem struct {
	Path []string
	Msg  string // lower case, says what is wrong and what would be right
	File string // where it is, if not in the configuration file itself, e.g. a zone file; else ""
	Line int    // of File, from 1; 0 = the file as a whole
}
