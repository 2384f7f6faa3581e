package zone

import "net/netip"

// A Spec is one zone as a person wrote it. Compile turns a list of Specs into a Set or a list of policy.Problems whose paths start
// with {"zones", Name}.
//
// Names without a final dot belong to the zone, with two exceptions that spare people the classic mistake: a name that ends in the
// zone's own name is taken as absolute everywhere ("www.gslb.example" in zone gslb.example), and in NS, MName and RName so is every
// name of more than one label. "@" is the apex.
type Spec struct {
	Name    string // apex, with or without the final dot
	View    string // of the ViewSpec that the zone is for; "" = all that have no zone of the name, and clients that no view has
	NS      []string
	SOA     SOASpec
	TTL     uint32 // default TTL of records, seconds, at most MaxTTL; 0 means DefaultTTL
	Records []RecordSpec
	Jitter  int // as in SteerSpec, of names that a zone file steers

	File  string         // where RRs came from, for messages; "" = nowhere. With a File and no RRs, which then could not be read, zones are not checked against one another
	RRs   *RRs           // of a zone file, beside Records; nil = none. A SOA or NS at the apex there stands for the Spec's own
	Allow []netip.Prefix // who may ask, by the address of the sender; nil = everybody
}

// An SOASpec holds what may be set of the SOA record (RFC 1035 3.3.13). Zero values mean the defaults.
type SOASpec struct {
	MName   string // default: the first NS
	RName   string // default: hostmaster.<zone>; "user@host" is accepted
	Serial  uint32 // default: 1
	Refresh uint32 // default: 3600 s
	Retry   uint32 // default: 600 s
	Expire  uint32 // default: 604800 s
	Minimum uint32 // negative TTL (RFC 2308 5); default: 10 s, short because a steered name may come back
}

// A RecordSpec is everything at one owner name: static sets, or a steered service, or both (for different types); or an alias of
// another name's addresses, or a mirror of the client.
type RecordSpec struct {
	Owner  string // relative to the zone; "@" is the apex; "*" and "*.x" are wildcards; a final dot makes it absolute
	TTL    uint32 // seconds, at most MaxTTL; 0 means the zone's default
	Static []StaticSpec
	Steer  *SteerSpec

	// Alias is a name, ours or outside, whose A and AAAA are the answer here, at an apex too. "" = none. Written as the value of a
	// CNAME. Other static types may stand beside it, but no A, AAAA, CNAME or Steer.
	Alias string

	// When says whom the record is for; others get no records. nil = everybody.
	When *ConditionSpec

	// Variants are what the name has instead, for different askers: the first whose When holds answers, so all but the last have one. Their
	// Owner is ignored; they have no Variants, and no NS and DNAME. nil = none. Beside them only the Owner counts.
	Variants []RecordSpec

	place []string // of a variant among those of its record, as it is in paths

	// Whoami says that TXT, A and AAAA tell what we see of the client. A Steer may stand beside it, of any types: it names the
	// service and policy whose choice is told.
	Whoami bool
}

// A StaticSpec is one RRset in presentation form, e.g. {"MX", {"10 mail"}}. The type may be written TYPE65280, and any value as
// "\# 4 c0000201" (RFC 3597 5). A TXT value is one record: its text as it is, cut into strings of 255 bytes, unless it begins with
// a quote; then it is read as in a zone file ("first" "second", \" and \DDD escapes).
type StaticSpec struct {
	Type   string
	Values []string
}

// A SteerSpec answers some types by a policy.
type SteerSpec struct {
	Service string
	Policy  string // "" means "default"

	Jitter    int            // percent of the TTL, at most 90, by which an answer's may be shorter; 0: none
	Fail      Fail           // what is answered when not enough of the service is up
	Fallbacks []FallbackSpec // services that answer then, the first of which enough is up; Fail is for when there is none. At most MaxFallbacks

	// Types are those that the policy answers, of A, AAAA, CNAME, SRV, HTTPS, SVCB, TXT and MX; none means A and AAAA. CNAME stands
	// alone, and not at an apex.
	Types []string
}

// Bounds and defaults of a Spec.
const (
	DefaultTTL = 300       // seconds
	MaxTTL     = 1<<31 - 1 // seconds (RFC 2181 8)
	MaxChain   = 8         // CNAMEs that may follow each other inside our zones
	maxSet     = 64000     // bytes an RRset may take in a message, the owner's name compressed
	maxValue   = 65535     // bytes of one value's text
)
