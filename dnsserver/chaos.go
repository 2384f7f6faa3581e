package dnsserver

import (
	"bytes"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// The names of class CHAOS, and the TTL of what they own: it is true of the server that answered, so it is not to be kept.
var (
	chaosIdentity = [...]wire.Name{wire.Name("\x02id\x06server\x00"), wire.Name("\x08hostname\x04bind\x00")}
	chaosVersion  = [...]wire.Name{wire.Name("\x07version\x06server\x00"), wire.Name("\x07version\x04bind\x00")}
)

const chaosTTL = 0

// chaos answers a query of class CHAOS: who this server is and which version, if it is configured to tell (RFC 4892 2.1). There is
// nothing else in that class.
func (a *Answerer) chaos() wire.RCode {
	text := ""
	switch name := a.query.Name; {
	case isOneOf(chaosIdentity[:], name):
		text = a.Identity
	case isOneOf(chaosVersion[:], name):
		text = a.Version
	}
	if text == "" {
		return a.unsupported(wire.Refused)
	}
	a.builder.SetAuthoritative()
	if t := a.query.Type; t == wire.TypeTXT || t == wire.TypeANY {
		a.set.begin(wire.TypeTXT, chaosTTL)
		a.set.text(text)
		a.builder.Add(wire.Answer, a.query.Name, &a.set.RRset)
	}
	return wire.NoError
}

func isOneOf(names []wire.Name, name wire.Name) bool {
	for _, n := range names {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return false
}
