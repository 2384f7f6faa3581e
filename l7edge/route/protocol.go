package route

import (
	"fmt"
	"slices"
)

// A Protocol is what is spoken to the endpoints of a rule.
type Protocol uint8

// The protocols.
const (
	HTTP1 Protocol = iota // HTTP/1.1, one request at a time on a connection
	H2C                   // HTTP/2 without TLS, with prior knowledge (RFC 9113 3.3)
	numProtocols
)

// protocolWords is indexed by Protocol.
var protocolWords = [numProtocols]string{"http1", "h2c"}

// ProtocolWords returns the text forms of all protocols, that of the default first.
func ProtocolWords() []string { return slices.Clone(protocolWords[:]) }

// String returns "http1" or "h2c".
func (p Protocol) String() string {
	if p < numProtocols {
		return protocolWords[p]
	}
	return fmt.Sprintf("protocol(%d)", uint8(p))
}

// MarshalText returns the same words as String, or an error for a value that is no Protocol.
func (p Protocol) MarshalText() ([]byte, error) {
	if p >= numProtocols {
		return nil, fmt.Errorf("route: %d is not a protocol", uint8(p))
	}
	return []byte(protocolWords[p]), nil
}

// UnmarshalText accepts what MarshalText returns, and nothing else.
func (p *Protocol) UnmarshalText(text []byte) error {
	for i, word := range protocolWords {
		if string(text) == word {
			*p = Protocol(i)
			return nil
		}
	}
	return fmt.Errorf("route: %q is not a protocol", text)
}
