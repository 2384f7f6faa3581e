package dnsserver

import "github.com/meridian-gslb/meridian/dnsserver/wire"

// rcodeLabels are the codes we answer with; rcodeLabel is the position of one.
var rcodeLabels = [...]wire.RCode{wire.NoError, wire.FormErr, wire.ServFail, wire.NXDomain, wire.NotImp, wire.Refused, wire.YXDomain,
	wire.BadVers, wire.BadCookie}

func rcodeLabel(r wire.RCode) int {
	switch r {
	case wire.BadVers:
		return len(rcodeLabels) - 2
	case wire.BadCookie:
		return len(rcodeLabels) - 1
	}
	return int(r)
}

// typeLabels are the types that are counted by name, the first stands for all others; typeLabel is the position of one.
var typeLabels = [...]string{"other", "A", "AAAA", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "SRV", "NAPTR", "CAA", "DS", "DNSKEY",
	"TLSA", "SVCB", "HTTPS", "ANY", "AXFR", "IXFR"}

func typeLabel(t uint16) int {
	switch t {
	case wire.TypeA:
		return 1
	case wire.TypeAAAA:
		return 2
	case wire.TypeNS:
		return 3
	case wire.TypeCNAME:
		return 4
	case wire.TypeSOA:
		return 5
	case wire.TypePTR:
		return 6
	case wire.TypeMX:
		return 7
	case wire.TypeTXT:
		return 8
	case wire.TypeSRV:
		return 9
	case wire.TypeNAPTR:
		return 10
	case wire.TypeCAA:
		return 11
	case wire.TypeDS:
		return 12
	case wire.TypeDNSKEY:
		return 13
	case wire.TypeTLSA:
		return 14
	case wire.TypeSVCB:
		return 15
	case wire.TypeHTTPS:
		return 16
	case wire.TypeANY:
		return 17
	case wire.TypeAXFR:
		return 18
	case wire.TypeIXFR:
		return 19
	}
	return 0
}
