package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A DNSConfig describes a check by a DNS query over UDP.
type DNSConfig struct {
	Addr  netip.AddrPort // address and port, both required
	Name  string         // the question; required
	Type  string         // of it; default "A"
	Match string         // text that one of the records in the answer must contain, in the form of a zone file; "": any record will do
}

// NewDNS returns a Checker that succeeds when the answer has no error and a record of the wanted type. It returns an error if no query
// can be made of c.
func NewDNS(c DNSConfig) (Checker, error) {
	c.Addr = unmap(c.Addr)
	if c.Type == "" {
		c.Type = "A"
	}
	t, ok := dns.StringToType[strings.ToUpper(c.Type)]
	if !ok {
		return nil, fmt.Errorf("%q is not a type of records", c.Type)
	}
	if _, ok := dns.IsDomainName(c.Name); !ok || c.Name == "" {
		return nil, fmt.Errorf("%q is not a name", c.Name)
	}
	return dnsCheck{c, dns.Fqdn(c.Name), t}, nil
}

type dnsCheck struct {
	DNSConfig
	name string
	kind uint16
}

func (c dnsCheck) Check(ctx context.Context) error {
	query := new(dns.Msg)
	query.SetQuestion(c.name, c.kind)
	query.SetEdns0(1232, false)
	dialer := net.Dialer{}
	conn, err := dialer.DialUDP(ctx, "udp", netip.AddrPort{}, c.Addr)
	if err != nil {
		return explain(ctx, connecting, err)
	}
	defer func() { _ = conn.Close() }() // the answer is known by then
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	done := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer done()
	client := dns.Client{Net: "udp", UDPSize: 1232}
	answer, _, err := client.ExchangeWithConnContext(ctx, query, &dns.Conn{Conn: conn, UDPSize: 1232})
	if err != nil {
		var network net.Error
		if errors.As(err, &network) {
			return explain(ctx, connecting, err) // nothing was heard: there is no connection that would say more
		}
		return errors.New("malformed DNS")
	}
	if answer.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("response %s", dns.RcodeToString[answer.Rcode])
	}
	found := false
	for _, rr := range answer.Answer {
		if rr.Header().Rrtype == c.kind {
			found = true
			if strings.Contains(strings.TrimPrefix(rr.String(), rr.Header().String()), c.Match) {
				return nil
			}
		}
	}
	if found {
		return fmt.Errorf("no %s record contains %q", dns.TypeToString[c.kind], c.Match)
	}
	return fmt.Errorf("no %s record in the answer", dns.TypeToString[c.kind])
}
