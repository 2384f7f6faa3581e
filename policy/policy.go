// Package policy decides which endpoints answer a question, and why.
//
// It is pure: it does no I/O, reads no clock, rolls no dice, starts no goroutine and takes no lock. Time and randomness are
// fields of the Query. DNS, the edge, explain, tests and simulations therefore run the very same decision.
//
// The flow is Spec (names, as a person wrote them) -> Compile -> Plan (ids, tables) -> Decide(Query, Health) -> Decision.
package policy

import (
	"fmt"
	"net/netip"
)

// EndpointID, ServiceID, PolicyID and SiteID are positions in one Plan. They mean nothing in another Plan, with one
// exception that callers rely on: ServiceID, PolicyID and SiteID are positions in the Spec's lists, so two Plans compiled
// from Specs with the same Services, Policies and Sites in the same order agree on them whatever the endpoints are.
type (
	EndpointID uint32
	ServiceID  uint32
	PolicyID   uint32
	SiteID     uint16 // 0 is NoSite; the first site of the Spec is 1
)

// NoSite is the site of an endpoint that declares none, and Query.From when the client is to be located by its address.
const NoSite SiteID = 0

// DefaultPolicy is the name of the policy "healthy, weighted" that every Plan has, unless its Spec defines one of that name.
const DefaultPolicy = "default"

// Family selects endpoints by what a question can use of them.
type Family uint8

// The families.
const (
	FamilyAny     Family = iota // every endpoint
	FamilyV4                    // those with an IPv4 address: A
	FamilyV6                    // those with an IPv6 address: AAAA
	FamilyAddress               // those with an address of either kind: the edge
	FamilyHost                  // those with a host: CNAME, MX
	FamilyTarget                // those with an address or a host: HTTPS, SVCB
	FamilyText                  // those with a text: TXT
	FamilyServer                // those with a host and a port: SRV
)

// familyNames is indexed by Family.
var familyNames = [...]string{"any", "v4", "v6", "address", "host", "target", "text", "server"}

// numFamilies is the number of families, for tables indexed by Family.
const numFamilies = len(familyNames)

// familyWants says, by Family, what an endpoint outside it lacks.
var familyWants = [numFamilies]string{"nothing", "IPv4 address", "IPv6 address", "address", "host", "address and no host", "text", "host with a port"}

// Lacks says what an endpoint outside the family has not, as in "IPv4 address".
func (f Family) Lacks() string { return familyWants[f] }

// String returns "any", "v4", "v6", "address", "host", "target", "text" or "server".
func (f Family) String() string {
	if int(f) < numFamilies {
		return familyNames[f]
	}
	return fmt.Sprintf("family(%d)", uint8(f))
}

// A Query is one question to a Plan. It is a value; nothing in it is retained.
type Query struct {
	Service ServiceID
	Policy  PolicyID
	Client  netip.Prefix // who asks: the client subnet (RFC 7871) or the resolver's address as a full-length prefix; its first address locates it; invalid = unknown
	From    SiteID       // when not NoSite, locate the client at this site (the edge asks so); of Client only canary stages take note then
	Family  Family
	Short   Shortage // what healthy stages do where not enough is up
	Want    int      // > 0: return up to Want endpoints, and the policy's take stages do nothing
	Key     uint64   // stable per client; for stages that stick
	Dice    uint64   // fresh per question; for stages that draw
	Joint   bool     // the Dice are those of questions for other families too: among fewer endpoints, draws prefer the same ones; this takes longer
	Now     int64    // Unix seconds; for stages that follow the clock
}

// A Shortage says what healthy stages do with endpoints of which not enough are up.
type Shortage uint8

// The ways to meet a shortage.
const (
	ShortageByPolicy Shortage = iota // as the stage says
	ShortageOpen                     // all that are not drained count as up; if there is none of those, all do
	ShortageClosed                   // what is up is kept, however little
	ShortageEmpty                    // nothing is kept: who asks has something else to offer
)

// A Reason is the most telling cause of a Decision, for metrics and access records.
type Reason uint8

// Reasons, least telling first.
const (
	ReasonStatic     Reason = iota // the order of the file
	ReasonWeight                   // drawn by weight
	ReasonSticky                   // by the client's key
	ReasonCanary                   // the client is, or is not, one of those who try what is new
	ReasonSchedule                 // by the time
	ReasonGeo                      // by where the client is, or its round-trip times
	ReasonShed                     // where the client would go has too much to do
	ReasonFailover                 // a preferred group was passed over
	ReasonOverride                 // an operator's override removed an endpoint
	ReasonFallback                 // another service answers: not enough of the one asked for is up. No Plan decides that, who asks does
	ReasonFailOpen                 // nothing healthy was left, so everything counts as up
	ReasonFailClosed               // nothing healthy was left, so there is nothing
)

// reasonNames is indexed by Reason.
var reasonNames = [...]string{"static", "weight", "sticky", "canary", "schedule", "geo", "shed", "failover", "override", "fallback", "fail_open", "fail_closed"}

// String returns "static", "weight", "sticky", "canary", "schedule", "geo", "shed", "failover", "override", "fallback",
// "fail_open" or "fail_closed": the words of metric labels.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// MarshalText returns the same words as String, or an error for a value that is no Reason.
func (r Reason) MarshalText() ([]byte, error) {
	if int(r) >= len(reasonNames) {
		return nil, fmt.Errorf("policy: %d is not a reason", uint8(r))
	}
	return []byte(reasonNames[r]), nil
}

// A Decision is the outcome of one Query. The Scope of a Client that is IPv4 in IPv6 form counts its 96 leading bits; other IPv6
// scopes take no account of such addresses, which no client has. The same decision is the same whatever the health: every geo stage
// puts the sites of the service's endpoints into the same order. It is 0 only if that order is one for all of both families, as
// resolvers give an answer of scope 0 to everybody; so it may be 1 where 0 would do for Client's family. Endpoints aliases the Scratch and is valid until its next use.
type Decision struct {
	Endpoints []EndpointID // in order of preference; empty only when the service has no endpoint of the family at all, or a stage failed closed
	Tier      int          // how many of Endpoints, from the front, are equally preferred: all, unless geo ranked them; 0 if there are none
	TTL       uint32       // seconds: upper bound from the health of endpoints that mattered; 0 = no bound
	Scope     uint8        // prefix length, in Client's family, inside which every address gets the same decision (RFC 7871, 7.2.1); may exceed Client's length; 0 if Query.From is set
	Reason    Reason
}
