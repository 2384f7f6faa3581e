// Package wire turns DNS messages into queries and responses into DNS messages (RFC 1035, 6891, 7871). It is pure.
//
// Parse reads a request into a Query, Builder writes the response to it. Both work on memory of their caller and allocate
// nothing, so that a worker can keep one of each. Names that zones and configurations hold are of type Name: wire form, lower
// case, comparable with bytes.Equal.
package wire

// An RRset is all records of one owner and type. It never changes.
type RRset struct {
	Type  uint16
	TTL   uint32   // seconds, one for the whole set (RFC 2181 5.2)
	RData [][]byte // each in uncompressed wire form
}

// The types that this server treats in a way of its own (RFC 1035 3.2.2, 2782, 3596, 6672, 6891, 8482, 8945, 9460, 9824).
const (
	TypeA      uint16 = 1
	TypeNS     uint16 = 2
	TypeCNAME  uint16 = 5
	TypeSOA    uint16 = 6
	TypePTR    uint16 = 12
	TypeHINFO  uint16 = 13
	TypeMX     uint16 = 15
	TypeTXT    uint16 = 16
	TypeSIG    uint16 = 24
	TypeAAAA   uint16 = 28
	TypeSRV    uint16 = 33
	TypeNAPTR  uint16 = 35
	TypeDNAME  uint16 = 39
	TypeOPT    uint16 = 41
	TypeDS     uint16 = 43
	TypeDNSKEY uint16 = 48
	TypeTLSA   uint16 = 52
	TypeSVCB   uint16 = 64
	TypeHTTPS  uint16 = 65
	TypeNXNAME uint16 = 128
	TypeTSIG   uint16 = 250
	TypeIXFR   uint16 = 251
	TypeAXFR   uint16 = 252
	TypeANY    uint16 = 255
	TypeCAA    uint16 = 257
)

// ClassIN is the Internet, the only class with data here. ClassCH is Chaos, by which servers are asked about themselves (RFC 4892).
const (
	ClassIN uint16 = 1
	ClassCH uint16 = 3
)

// OpcodeQuery is the one opcode that is served (RFC 1035 4.1.1).
const OpcodeQuery uint8 = 0

// An RCode is the outcome of a query as its sender sees it (RFC 1035 4.1.1, 6891 9).
type RCode uint16

// The codes in use. BadVers and BadCookie (RFC 7873 8) need an OPT record for their upper bits.
const (
	NoError   RCode = 0
	FormErr   RCode = 1
	ServFail  RCode = 2
	NXDomain  RCode = 3
	NotImp    RCode = 4
	Refused   RCode = 5
	YXDomain  RCode = 6
	BadVers   RCode = 16
	BadCookie RCode = 23
)

// String returns the code's mnemonic in upper case, as tools print it.
func (r RCode) String() string {
	switch r {
	case NoError:
		return "NOERROR"
	case FormErr:
		return "FORMERR"
	case ServFail:
		return "SERVFAIL"
	case NXDomain:
		return "NXDOMAIN"
	case NotImp:
		return "NOTIMP"
	case Refused:
		return "REFUSED"
	case YXDomain:
		return "YXDOMAIN"
	case BadVers:
		return "BADVERS"
	case BadCookie:
		return "BADCOOKIE"
	}
	return "OTHER"
}

// MinUDP is the size that every requestor takes over UDP; one that announces less counts as announcing it (RFC 1035 4.2.1,
// 6891 6.2.3).
const MinUDP = 512
