package admin

import (
	"net/http"
	"testing"

	"github.com/meridian-gslb/meridian/demand"
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
