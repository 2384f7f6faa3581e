// Package zone holds the names we are authoritative for and looks them up (RFC 1034 4.3.2, 2308, 4592, 8020).
//
// It is pure. Compile turns Specs into a Set that never changes; Lookup finds what a Set knows of a name and type, and says
// everything a server needs to write the answer, the authority and the additional section. What to answer at a steered name is
// not decided here: a Match carries the service and the policy, and the server asks the Plan.
package zone

import (
	"iter"
	"net/netip"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// A Kind says what a Lookup found.
type Kind uint8

// The kinds. All but NotAuth and Referral are authoritative answers (AA = 1).
const (
	NotAuth     Kind = iota // no zone of ours holds the name: REFUSED
	Answer                  // Set is the answer
	Steered                 // ask the Plan about Steer
	Alias                   // Set is the CNAME of the name; its target may be looked up next (at most MaxChain links inside our zones)
	NoData                  // the name exists, or something below it does, without this type: NOERROR with Zone.Negative
	NXDomain                // the name does not exist: NXDOMAIN with Zone.Negative
	Referral                // the name is at or below a delegation: Set is its NS set, owned by Cut
	Flatten                 // A and AAAA (and ANY, if nothing static stands there) are those of Target
	Redirect                // the name is below Cut, whose DNAME is Set: it stands for the same name below the DNAME's target (RFC 6672)
	Conditional             // Variants answer: the one that Pick says is to be taken (Match.Take)
	Whoami                  // the answer tells what is seen of the client; Steer, if any, names the decision to tell of
)

var kindNames = [...]string{"not authoritative", "answer", "steered", "alias", "no data", "no such name", "referral", "flatten", "redirect", "conditional", "whoami"}

// String returns the kind in words, for explanations.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// A Match is what a Set knows of one name and type. Everything it points to is shared and never changes, except that Owner, Cut
// and names in Extra may alias the zone's data: copy before changing.
type Match struct {
	Kind     Kind
	Wildcard bool        // all but NotAuth, NXDomain, Referral, Redirect: synthesised from the wildcard Owner (RFC 4592); it is sent with the name asked for
	Zone     *Zone       // nil only for NotAuth
	Owner    wire.Name   // the name in the zone that decided: the name itself, a wildcard, or (NXDomain, Referral, Redirect) the closest encloser
	Set      *wire.RRset // Answer, Alias, Referral, Redirect
	Steer    *Steer      // Steered; Whoami: or nil
	Manner   *Manner     // of Steer; nil: as the policy says
	Cut      wire.Name   // Referral, Redirect: the owner of Set
	Target   wire.Name   // Flatten
	Variants *Variants   // Conditional, and what was taken of it
	Extra    []Address   // Answer, Referral: addresses of the targets of Set, for the additional section
}

// A Steer says which decision answers some types at a name.
//
// The ids belong to the Plan the Set was compiled with and to every later Plan with the same services and policies in the same
// order, while endpoints come and go. So whether the service has an address of the family asked for is not known here: if
// Plan.HasFamily(Service, family) is false, the answer is the one of NoData.
type Steer struct {
	Service policy.ServiceID
	Policy  policy.PolicyID
	TTL     uint32 // seconds; the answer's TTL is at most this
	Types   TypeSet
	Joint   bool   // the zone answers HTTPS, SVCB or SRV by the same decision: draws must be the same for all types (policy.Query.Joint)
	Tag     uint16 // made of Record; few others have the same
	Record  string // the owner in presentation form without the final dot, for metrics and explanations
}

// An Address is an A or AAAA set to send along.
type Address struct {
	Name     wire.Name
	Set      *wire.RRset
	Required bool // glue below the very cut it serves: if it does not fit, the answer is truncated (RFC 9471 3)
}

// A Zone is one zone of a Set. It never changes.
type Zone struct {
	apex   wire.Name
	index  table // into nodes
	nodes  []node
	sets   []set // of all nodes, those of one node side by side
	extras [][]Address
	names  []byte // of all nodes

	manners  []Manner // each once
	variants []Variants
	more     []uint32 // for each node the position of its own in manners, or in variants, plus one; nil: no node has any

	allow    acl // nil: everybody
	name     string
	view     string // "": in all
	serial   uint32
	negative wire.RRset
	labels   int      // of the deepest name
	servers  []uint32 // nodes that have NS sets
	aliases  []uint32 // nodes that are aliases
	records  int      // names that own data
}

// A node is a name that exists in a zone, if only because a name below it does. It fills one cache line, so that most names that
// are found cost one miss for the table and one for the node, however many there are.
type node struct {
	steer     Steer      // TTL 0: none
	wild      uint32     // node of "*" below this name, or 0
	cut       uint32     // node of the topmost delegation at or above this name, or 0
	nameAt    uint32     // where the name begins in Zone.names
	setsAt    uint32     // where its sets begin in Zone.sets, ordered by type
	setsCount uint16     // how many; if there is an alias, one more follows that holds the target
	nameLen   uint8      // bytes of the name
	flags     uint8      // what else stands at the name
	head      [head]byte // the first bytes of the name
}

// The flags of a node.
const (
	flagDNAME    = 1 << iota // it has a DNAME set
	flagAlias                // its A and AAAA are those of another name
	flagWhoami               // it tells of the client
	flagManner               // its steer has a Manner
	flagVariants             // what is not static at it has variants
)

// head is how many bytes of a name a node repeats: enough for "www" and its like without the apex.
const head = 12

// A set is an RRset of a node. It fills one cache line: a set of one value, as most are, has it at hand, and that of one A even the
// address.
type set struct {
	wire.RRset
	one   [1][]byte // RData, if there is one value
	extra uint32    // position of the addresses of its targets in Zone.extras plus one; 0: none
	four  [4]byte   // the value, if it is one A
}

// Name returns the apex in presentation form without the final dot ("." for the root).
func (z *Zone) Name() string { return z.name }

// Apex returns the apex. It is shared: do not change it.
func (z *Zone) Apex() wire.Name { return z.apex }

// Serial returns the serial of the SOA.
func (z *Zone) Serial() uint32 { return z.serial }

// SOA returns the SOA set as it answers a question for it.
func (z *Zone) SOA() *wire.RRset { return z.rrset(&z.nodes[0], wire.TypeSOA) }

// NS returns the NS set of the apex.
func (z *Zone) NS() *wire.RRset { return z.rrset(&z.nodes[0], wire.TypeNS) }

// Negative returns the SOA set for the authority section of negative answers: its TTL is the lesser of the SOA's own TTL and its
// MINIMUM field (RFC 2308 3 and 5).
func (z *Zone) Negative() *wire.RRset { return &z.negative }

// Allows reports whether who sends from an address may ask for names of this zone. It does not allocate.
func (z *Zone) Allows(addr netip.Addr) bool { return z.allow == nil || z.allow.has(addr) }

// Len returns the number of names that own data.
func (z *Zone) Len() int { return z.records }

// An Entry is everything at one owner name.
type Entry struct {
	Name   wire.Name
	Sets   []*wire.RRset
	Steer  *Steer    // or nil
	Target wire.Name // of the alias, or nil
	Whoami bool
}

// Entries yields every name that owns data: the apex first, then those of the zone file, then the Spec's, in their order; then, once more, those
// with variants, with each. For listings; it allocates.
func (z *Zone) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range z.nodes {
			n := &z.nodes[i]
			if n.empty() {
				continue
			}
			e := Entry{Name: z.nameOf(n), Target: z.aliasOf(n), Whoami: n.flags&flagWhoami != 0}
			if n.steered() {
				e.Steer = &n.steer
			}
			sets := z.setsOf(n)
			for j := range sets {
				e.Sets = append(e.Sets, &sets[j].RRset)
			}
			if !yield(e) {
				return
			}
		}
	}
}

// mannerOf returns how the name of the node at a position answers, nil if as its policy says.
func (z *Zone) mannerOf(pos uint32) *Manner {
	if z.nodes[pos].flags&flagManner == 0 {
		return nil
	}
	return &z.manners[z.more[pos]-1]
}

// steered reports whether a policy answers some types at the name.
func (n *node) steered() bool { return n.steer.TTL != 0 }

// empty reports whether the name owns nothing and only has names below it.
func (n *node) empty() bool { return n.setsCount == 0 && !n.steered() && n.flags == 0 }

// nameOf returns the name of a node.
func (z *Zone) nameOf(n *node) wire.Name {
	end := n.nameAt + uint32(n.nameLen)
	return wire.Name(z.names[n.nameAt:end:end])
}

// setsOf returns the sets of a node.
func (z *Zone) setsOf(n *node) []set { return z.sets[n.setsAt : n.setsAt+uint32(n.setsCount)] }

// aliasOf returns the target of a node's alias, or nil.
func (z *Zone) aliasOf(n *node) wire.Name {
	if n.flags&flagAlias == 0 {
		return nil
	}
	return z.sets[n.setsAt+uint32(n.setsCount)].RData[0]
}

// set returns the set of a type at a node, or nil.
func (z *Zone) set(n *node, rrtype uint16) *set {
	sets := z.setsOf(n)
	for i := range sets {
		if sets[i].Type == rrtype {
			return &sets[i]
		}
	}
	return nil
}

// rrset is set without the addresses.
func (z *Zone) rrset(n *node, rrtype uint16) *wire.RRset {
	if s := z.set(n, rrtype); s != nil {
		return &s.RRset
	}
	return nil
}

// extraOf returns the addresses of the targets of a set.
func (z *Zone) extraOf(s *set) []Address {
	if s.extra == 0 {
		return nil
	}
	return z.extras[s.extra-1]
}

// is reports whether a node has a name of this zone. Beyond the head of the node it only looks where the head does not reach.
func (z *Zone) is(n *node, name wire.Name) bool {
	if len(name) != int(n.nameLen) {
		return false
	}
	own := len(name) - len(z.apex) // the bytes that tell names of the zone apart
	if own <= head {
		return string(n.head[:own]) == string(name[:own])
	}
	return string(z.names[n.nameAt:n.nameAt+uint32(own)]) == string(name[:own])
}
