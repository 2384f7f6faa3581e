package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/forecast"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/simulate"
)

// plan says what a change would do. It changes nothing.
func (n *node) plan(_ context.Context, c admin.Change) (admin.Plan, error) {
	cfg, err := n.readChange(c)
	if err != nil {
		return admin.Plan{}, refusal(err)
	}
	return n.forecast(c, cfg)
}

// readChange reads the configuration that a Change names, and refuses what a running process cannot change.
func (n *node) readChange(c admin.Change) (cfg *configs.Config, err error) {
	if c.File == "" {
		cfg, err = n.load()
	} else {
		cfg, err = configs.ReadTrusted(n.named(c.File), n.file)
	}
	if err == nil {
		err = restartNeeded(n.config.Load(), cfg)
	}
	return cfg, err
}

// forecast says what a configuration would do, by what is known of endpoints and of who asks.
func (n *node) forecast(c admin.Change, cfg *configs.Config) (admin.Plan, error) {
	p := admin.Plan{File: cmp.Or(c.File, n.file), Against: "what serves", Limit: c.Limit(), Warnings: problems(cfg.Warnings)}
	p.Same = cfg.Text() == n.config.Load().Text()
	var d demand.Report
	switch {
	case c.Demand != nil:
		d = *c.Demand
	case n.dns != nil:
		d = n.dns.Demand()
	}
	f, err := foretell(n.registry.Snapshot(), n.registry.Preview(cfg.Compiled), d, c.Capacities())
	if err != nil {
		return p, &admin.Error{Status: http.StatusBadRequest, Message: err.Error()}
	}
	p.Forecast, p.Refused = f, tooMuch(f, p.Limit)
	return p, nil
}

// foretell is forecast.Of, or nothing if nobody asks.
func foretell(before, after *registry.Snapshot, d demand.Report, capacity []simulate.Capacity) (*simulate.Forecast, error) {
	if len(d.Entries) == 0 {
		return nil, nil
	}
	f, err := forecast.Of(before, after, d, capacity, time.Now().Unix())
	if err != nil {
		return nil, errors.New(withoutRoom(err))
	}
	return f, nil
}

// withoutRoom returns an error's text without the room that it comes from.
func withoutRoom(err error) string {
	text := err.Error()
	for _, room := range []string{"forecast: ", "simulate: ", "dnsserver: "} {
		text = strings.TrimPrefix(text, room)
	}
	return text
}

// tooMuch says why a change is refused unless it is forced; "" = it is not.
func tooMuch(f *simulate.Forecast, limit float64) string {
	if f == nil || f.Moved <= limit {
		return ""
	}
	return fmt.Sprintf("%.1f %% of the queries would move, and %.4g %% may", 100*f.Moved, 100*limit)
}
