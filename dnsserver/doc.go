// Package dnsserver answers DNS queries for the zones of the registry's snapshot: by static records, or by what a policy chooses.
//
// Answerer.Answer is the server: bytes in, bytes out, from memory, without a lock and without allocation. The transports around
// it only carry bytes. A Server runs them: for each address some UDP sockets, each with an Answerer of its own, and a TCP
// listener whose connections share a few. Explain tells of one question what Answer would say, and why.
//
// Which rule of which RFC is kept where, and which test shows it, is listed in docs/RFC.md.
package dnsserver
