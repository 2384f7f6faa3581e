package admin

import (
	"errors"
	"net/http"
	"testing"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/dnsserver"
)

func TestPlan(t *testing.T) {
	b := newBench(t)
	c := b.serve()
	limit := 0.05
	p, err := c.Plan(short(t), Change{File: "/etc/new.yaml", MaxMove: &limit, Demand: &demand.Report{Entries: []demand.Entry{{Name: "x", Queries: 3}}},
		Capacity: map[string]float64{"us": 2, "eu": 1}})
	if err != nil || p.File != "/etc/new.yaml" || p.Limit != 0.05 {
		t.Fatalf("%+v %v", p, err)
	}
	got := b.changes[0]
	if got.Demand.Entries[0].Queries != 3 || len(got.Capacities()) != 2 || got.Capacities()[0].Site != "eu" || got.Capacities()[1].Queries != 2 {
		t.Errorf("%+v", got)
	}
	if code, _ := b.do(http.MethodPost, "/v1/plan", ""); code != http.StatusOK || b.changes[1].Limit() != DefaultMaxMove {
		t.Errorf("nothing said: %d %+v", code, b.changes[1])
	}
	for body, want := range map[string]string{
		`{"maxMove": 1.5}`:             "no share of 0 to 1",
		`{"maxMove": -1}`:              "no share of 0 to 1",
		`{"file": "new.yaml"}`:         "no absolute path",
		`{"capacity": {"eu": 0}}`:      "not more than 0",
		`{"text": "x"}`:                "unknown field",
		`{"demand": {"entries": "x"}}`: "expected",
	} {
		b.refused(http.MethodPost, "/v1/plan", body, http.StatusBadRequest, want)
	}
}

func TestApply(t *testing.T) {
	b := newBench(t)
	c := b.serve()
	a, err := c.Apply(short(t), Change{File: "/etc/new.yaml", Force: true})
	if err != nil || !a.Applied || a.Plan.File != "/etc/new.yaml" || a.Snapshot != 3 {
		t.Errorf("%+v %v", a, err)
	}
	e := (*Error)(nil)
	if _, err = c.Apply(short(t), Change{File: "/etc/new.yaml"}); !errors.As(err, &e) || e.Status != http.StatusConflict || e.Applied == nil || e.Applied.Plan.File != "/etc/new.yaml" {
		t.Errorf("%v %+v", err, e)
	}
	b.refused(http.MethodPost, "/v1/apply", `{"file": "new.yaml"}`, http.StatusBadRequest, "no absolute path")
	b.refused(http.MethodPost, "/v1/apply", `{"fil": ""}`, http.StatusBadRequest, "unknown field")
}

func TestGenerations(t *testing.T) {
	b := newBench(t)
	c := b.serve()
	list, err := c.Generations(short(t))
	if err != nil || len(list) != 2 || !list[0].InForce || list[1].Generation != 1 {
		t.Errorf("%+v %v", list, err)
	}
	for _, to := range []uint64{0, 1} {
		if r, err := c.Rollback(short(t), to); err != nil || r.Generation != to || r.From != 2 {
			t.Errorf("%+v %v", r, err)
		}
	}
	b.refused(http.MethodPost, "/v1/rollback", `{"to": 9}`, http.StatusNotFound, "not kept")
	b.refused(http.MethodPost, "/v1/rollback", `{"to": -1}`, http.StatusBadRequest, "to: ")
	if code, _ := b.do(http.MethodPost, "/v1/rollback", ""); code != http.StatusOK {
		t.Errorf("without a body: %d", code)
	}
}

// TestExplainAt: which generation is asked about, and by whom, is a number and a network.
func TestExplainAt(t *testing.T) {
	b := newBench(t)
	c := b.serve()
	var asked Question
	b.Explain = func(q Question) (dnsserver.Explanation, error) {
		asked = q
		return dnsserver.Explanation{}, nil
	}
	want := Question{Name: "www.gslb.example", Type: "AAAA", Client: "192.0.2.1", ECS: "198.51.100.0/24", WhatIf: "us=down", At: 7}
	if _, err := c.Explain(short(t), want); err != nil || asked != want {
		t.Errorf("%+v %v", asked, err)
	}
	for _, at := range []string{"0", "-1", "last", "1.5"} {
		b.refused(http.MethodGet, "/v1/explain?name=x&at="+at, "", http.StatusBadRequest, "is no generation")
	}
}
