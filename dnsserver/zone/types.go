package zone

import (
	"fmt"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A TypeSet is a set of the record types that can be steered.
type TypeSet uint8

// steerable are the members a TypeSet can have, bit by bit.
var steerable = [...]uint16{wire.TypeA, wire.TypeAAAA, wire.TypeCNAME, wire.TypeSRV, wire.TypeHTTPS, wire.TypeSVCB, wire.TypeTXT, wire.TypeMX}

// addressTypes are A and AAAA.
const addressTypes TypeSet = 1<<0 | 1<<1

// jointTypes are those of which other types must not differ.
const jointTypes TypeSet = 1<<3 | 1<<4 | 1<<5

// bitOf returns the bit of a type, or 0.
func bitOf(rrtype uint16) TypeSet {
	switch rrtype {
	case wire.TypeA:
		return 1 << 0
	case wire.TypeAAAA:
		return 1 << 1
	case wire.TypeCNAME:
		return 1 << 2
	case wire.TypeSRV:
		return 1 << 3
	case wire.TypeHTTPS:
		return 1 << 4
	case wire.TypeSVCB:
		return 1 << 5
	case wire.TypeTXT:
		return 1 << 6
	case wire.TypeMX:
		return 1 << 7
	default:
		return 0
	}
}

// TypeSetOf returns the set of some types; those that cannot be steered are left out.
func TypeSetOf(rrtypes ...uint16) (s TypeSet) {
	for _, t := range rrtypes {
		s |= bitOf(t)
	}
	return s
}

// Has reports whether a type is in the set.
func (s TypeSet) Has(rrtype uint16) bool { return s&bitOf(rrtype) != 0 }

// List returns the members, in the order in which they are named.
func (s TypeSet) List() (types []uint16) {
	for _, t := range steerable {
		if s.Has(t) {
			types = append(types, t)
		}
	}
	return types
}

// String returns the mnemonics of the set, as in "A, AAAA and TXT".
func (s TypeSet) String() string {
	var names []string
	for _, t := range steerable {
		if s.Has(t) {
			names = append(names, typeName(t))
		}
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// steerTypes returns the set of the types that a Spec names.
func steerTypes(names []string) (TypeSet, error) {
	if len(names) == 0 {
		return addressTypes, nil
	}
	var s TypeSet
	for _, name := range names {
		rrtype, err := staticType(name, false)
		bit := bitOf(rrtype)
		switch {
		case err != nil:
			return 0, err
		case bit == 0:
			return 0, fmt.Errorf("%s cannot be steered; A, AAAA, CNAME, SRV, HTTPS, SVCB, TXT and MX can", typeName(rrtype))
		case s&bit != 0:
			return 0, fmt.Errorf("%s is named twice", typeName(rrtype))
		}
		s |= bit
	}
	return s, nil
}
