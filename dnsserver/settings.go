package dnsserver

import (
	"reflect"
)

// settings are what may change while a Server runs. They themselves never change; each batch of messages is answered by one of them.
type settings struct {
	rate    RateConfig
	limiter *Limiter
	proxies proxies
}

// next returns the settings of a Config. What is as it was in s goes on, such as the counts of rate limits.
func (s *settings) next(cfg Config) *settings {
	n := *s
	if s.limiter == nil || !reflect.DeepEqual(cfg.RateLimit, s.rate) {
		n.rate, n.limiter = cfg.RateLimit, NewLimiter(cfg.RateLimit)
	}
	n.proxies = newProxies(cfg.Proxy)
	return &n
}

// Reconfigure puts those settings in force that can change while the Server runs: RateLimit and Proxy. It leaves all others alone.
// Connections that are open go on as they began. It may be called at any time, from one goroutine at a time.
func (s *Server) Reconfigure(cfg Config) {
	s.settings.Store(s.settings.Load().next(cfg))
}

// settle has the batch at hand answered by the settings of the moment.
func (a *Answerer) settle() {
	if a.settings != nil {
		s := a.settings.Load()
		if a.Limiter = s.limiter; a.Transport == UDP { // a connection has one header, which it takes off itself
			a.proxies = s.proxies
		}
	}
	if a.Limiter != nil {
		a.meter.now = a.Limiter.now()
	}
}
