// Package upstream knows the endpoints that requests are sent to: how busy each is, how it did, and which of several to take next.
//
// State is kept by endpoint name, because names outlive Plans. A View lays one Plan's ids over that state, so that a request finds
// everything by index. Nothing here knows the protocol spoken to an endpoint: a carrier brings the bytes and reports the outcome.
package upstream

import (
	"net/netip"

	"github.com/meridian-gslb/meridian/policy"
)

// An Address is where an endpoint listens: one address per family and a port. It is comparable; carriers key connections by it, so
// an endpoint that gets a new address under its old name gets new connections.
type Address struct {
	V4, V6 netip.Addr // at least one is valid
	Port   uint16
}

// AddressOf returns the address of an endpoint of a Plan.
func AddressOf(e *policy.Endpoint) Address { return Address{V4: e.V4, V6: e.V6, Port: e.Port} }

// Usable reports whether something can be dialled: a port is known, and an address.
func (a Address) Usable() bool { return a.Port != 0 && (a.V4.IsValid() || a.V6.IsValid()) }

// Primary returns the address tried first: IPv4 if there is one, because the path to it is the one that probes and people check.
func (a Address) Primary() netip.AddrPort {
	if a.V4.IsValid() {
		return netip.AddrPortFrom(a.V4, a.Port)
	}
	return netip.AddrPortFrom(a.V6, a.Port)
}

// Secondary returns the address of the other family, tried when the first could not be reached, and whether there is one.
func (a Address) Secondary() (netip.AddrPort, bool) {
	if a.V4.IsValid() && a.V6.IsValid() {
		return netip.AddrPortFrom(a.V6, a.Port), true
	}
	return netip.AddrPort{}, false
}

// String returns the primary address and port, e.g. "192.0.2.1:8080".
func (a Address) String() string { return a.Primary().String() }
