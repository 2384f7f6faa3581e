package dnsserver

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"github.com/dchest/siphash"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// A CookieConfig says how clients are told from those who forge their addresses (RFC 7873, 9018). The zero value is good for a server
// that stands alone: its cookies end with the process, and clients learn new ones by themselves.
type CookieConfig struct {
	// Off ignores cookies.
	Off bool

	// Secrets are what server cookies are made with. The first makes them, all verify them. Servers that share an address need the
	// same ones. To change the secret everywhere without refusing anybody: add the new one in second place on all servers, then put
	// it first on all, then drop the old one an hour later (RFC 9018 5). Default: one at random.
	Secrets [][16]byte

	// Require answers BADCOOKIE, with a good cookie to come back with, to queries over UDP whose cookie we did not make. Those
	// without any cookie, from clients that know of none, are answered all the same. Default false.
	Require bool
}

// withDefaults returns c with a secret.
func (c CookieConfig) withDefaults() CookieConfig {
	if !c.Off && len(c.Secrets) == 0 {
		var secret [16]byte
		rand.Read(secret[:]) // never fails
		c.Secrets = [][16]byte{secret}
	}
	return c
}

// Ages of server cookies in seconds (RFC 9018 4.3).
const (
	cookieMaxAge = 3600    // older ones are not accepted
	cookieRenew  = 1800    // older ones are replaced
	cookieFuture = -5 * 60 // the clocks of servers that share a secret differ by less
	cookieLen    = wire.ClientCookieLen + wire.ServerCookieLen
)

// cookieVersion begins server cookies of the one form that all servers share (RFC 9018 4.1).
const cookieVersion = 1

// checkCookie looks at the query's cookie: it sets cookieValid if we made it for this client not long ago, and puts the one to use next
// into the response.
func (a *Answerer) checkCookie() {
	a.cookieValid = false
	if a.query.Cookie == nil || a.Cookies.Off {
		return
	}
	var server [wire.ServerCookieLen]byte
	now, from := uint32(a.now), a.from.Addr().Unmap()
	age, fresh := int32(0), false
	if len(a.query.Cookie) == cookieLen {
		copy(server[:], a.query.Cookie[wire.ClientCookieLen:])
		age = int32(now - binary.BigEndian.Uint32(server[4:])) // RFC 1982
		if server[0] == cookieVersion && age <= cookieMaxAge && age >= cookieFuture {
			a.cookieValid, fresh = a.verifyCookie(&server, from)
		}
	}
	if !fresh || age > cookieRenew {
		server = [wire.ServerCookieLen]byte{cookieVersion}
		binary.BigEndian.PutUint32(server[4:], now)
		hash := cookieHash(&a.Cookies.Secrets[0], a.query.Cookie, &server, from)
		binary.LittleEndian.PutUint64(server[8:], hash)
	}
	a.builder.SetCookie(&server)
}

// verifyCookie reports whether one of our secrets made a server cookie, and whether it was the one that makes them now.
func (a *Answerer) verifyCookie(server *[wire.ServerCookieLen]byte, from netip.Addr) (valid, active bool) {
	for i := range a.Cookies.Secrets {
		if cookieHash(&a.Cookies.Secrets[i], a.query.Cookie, server, from) == binary.LittleEndian.Uint64(server[8:]) {
			return true, i == 0
		}
	}
	return false, false
}

// cookieHash returns the last 8 bytes of a server cookie: SipHash-2-4 of the client's cookie, what precedes the hash in the server's,
// and the client's address (RFC 9018 4.4).
func cookieHash(secret *[16]byte, cookie []byte, server *[wire.ServerCookieLen]byte, from netip.Addr) uint64 {
	var buf [wire.ClientCookieLen + 8 + 16]byte
	copy(buf[:], cookie[:wire.ClientCookieLen])
	copy(buf[wire.ClientCookieLen:], server[:8])
	input := appendAddr(buf[:wire.ClientCookieLen+8], from)
	return siphash.Hash(binary.LittleEndian.Uint64(secret[:]), binary.LittleEndian.Uint64(secret[8:]), input)
}

// badCookie reports whether the query must come back with a better cookie: over TCP a client is where it says (RFC 7873 5.2.3).
func (a *Answerer) badCookie() bool {
	return a.Cookies.Require && a.Transport == UDP && a.query.Cookie != nil && !a.Cookies.Off && !a.cookieValid
}

// cookieOnly returns the code for a query without a question: it asks for a cookie, or whether the one it has is good (RFC 7873 5.4).
func (a *Answerer) cookieOnly() wire.RCode {
	switch {
	case a.Cookies.Off:
		return wire.FormErr
	case len(a.query.Cookie) > wire.ClientCookieLen && !a.cookieValid:
		return wire.BadCookie
	}
	return wire.NoError
}
