package dnsserver

import (
	crand "crypto/rand"
	"net/netip"
	"reflect"
)

// settings are what may change while a Server runs. They themselves never change; each batch of messages is answered by one of them.
type settings struct {
	rate    RateConfig
	limiter *Limiter
	proxies proxies

	nsid, identity, version, site string
	explainFrom                   []netip.Prefix
	cookies                       CookieConfig
	secret                        [16]byte // of a process that was given none
}

// next returns the settings of a Config. What is as it was in s goes on, such as the counts of rate limits.
func (s *settings) next(cfg Config) *settings {
	n := *s
	if s.limiter == nil || !reflect.DeepEqual(cfg.RateLimit, s.rate) {
		n.rate, n.limiter = cfg.RateLimit, NewLimiter(cfg.RateLimit)
	}
	n.proxies = newProxies(cfg.Proxy)
	n.nsid, n.identity, n.version, n.site = cfg.NSID[:min(len(cfg.NSID), maxNSID)], cfg.Identity, cfg.Version, cfg.Site
	n.explainFrom = cfg.ExplainFrom
	if n.secret == [16]byte{} {
		crand.Read(n.secret[:]) // never fails
	}
	if n.cookies = cfg.Cookies; len(n.cookies.Secrets) == 0 {
		n.cookies.Secrets = [][16]byte{n.secret}
	}
	return &n
}

// Reconfigure puts those settings in force that can change while the Server runs: RateLimit, Proxy, Cookies, ExplainFrom and what
// it tells of itself. It leaves all others alone.
// Connections that are open go on as they began. It may be called at any time, from one goroutine at a time.
func (s *Server) Reconfigure(cfg Config) {
	s.settings.Store(s.settings.Load().next(cfg))
}

// settle has the batch at hand answered by the settings of the moment.
func (a *Answerer) settle() {
	if a.settings != nil {
		if s := a.settings.Load(); s != a.settled {
			a.take(s)
		}
	}
	if a.Limiter != nil {
		a.meter.now = a.Limiter.now()
	}
}

// take takes over settings.
func (a *Answerer) take(s *settings) {
	a.settled, a.Limiter = s, s.limiter
	if a.Transport == UDP { // a connection has one header, which it takes off itself
		a.proxies = s.proxies
	}
	a.ExplainFrom = s.explainFrom
	a.NSID, a.Identity, a.Version, a.Site, a.Cookies = s.nsid, s.identity, s.version, s.site, s.cookies
}
