package outside

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// ednsSize is the most bytes of a response over UDP that we ask for (RFC 9715 3.2).
const ednsSize = 1232

// resolve asks the servers, beginning with the one that answered last, until one has an answer. The error is that of all of them.
func (r *Resolver) resolve(ctx context.Context, name wire.Name, rrtype uint16) (found, error) {
	c := r.config.Load()
	first := int(r.server.Load())
	var errs []error
	for i := range c.Servers {
		at := (first + i) % len(c.Servers)
		f, err := r.question(ctx, c.Servers[at], name, rrtype, c.Timeout)
		if err == nil {
			r.server.Store(uint32(at))
			return f, nil
		}
		errs = append(errs, fmt.Errorf("%v %w", c.Servers[at], err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return found{}, errors.New("there is no server to ask")
	}
	return found{}, errors.Join(errs...)
}

// question asks one server.
func (r *Resolver) question(ctx context.Context, server netip.AddrPort, name wire.Name, rrtype uint16, timeout time.Duration) (found, error) {
	q := new(dns.Msg).SetQuestion(name.String(), rrtype) // a random ID, RD set
	q.SetEdns0(ednsSize, false)
	m, err := r.ask(ctx, server, q, timeout)
	if err != nil {
		return found{}, err
	}
	return read(m, name, rrtype, r.world.Snapshot().Zones)
}

// ask sends a question over UDP, from a port of its own, and again over TCP if the response is truncated. The response is one to the
// question.
func ask(ctx context.Context, server netip.AddrPort, q *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	m, err := exchange(ctx, "udp", server, q, timeout)
	if err == nil && m.Truncated {
		m, err = exchange(ctx, "tcp", server, q, timeout)
	}
	return m, err
}

// exchange sends a question and returns the response to it.
func exchange(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := &dns.Client{Net: network, Timeout: timeout}
	conn, err := client.DialContext(ctx, server.String())
	if err != nil {
		return nil, fmt.Errorf("cannot be reached: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // the library waits for its deadline alone
	defer stop()
	m, _, err := client.ExchangeWithConnContext(ctx, q, conn)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("does not answer: %w", context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("does not answer: %w", err)
	case !m.Response || m.Opcode != dns.OpcodeQuery || !sameQuestion(q, m):
		return nil, errors.New("answers another question")
	}
	return m, nil
}

// sameQuestion reports whether a response repeats the question, as it has to (RFC 5452 9.1).
func sameQuestion(q, m *dns.Msg) bool {
	if len(m.Question) != 1 || m.Question[0].Qtype != q.Question[0].Qtype || m.Question[0].Qclass != q.Question[0].Qclass {
		return false
	}
	asked, err1 := wire.ParseName(q.Question[0].Name)
	got, err2 := wire.ParseName(m.Question[0].Name)
	return err1 == nil && err2 == nil && string(asked) == string(got)
}
