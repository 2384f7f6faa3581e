package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/policy"
)

func TestDemand(t *testing.T) {
	b := newBench(t)
	b.refused(http.MethodGet, "/v1/demand", "", http.StatusNotFound, "does not serve DNS")
	client := netip.MustParsePrefix("192.0.2.0/24")
	b.Demand = func() demand.Report {
		return demand.Report{Queries: 9, Keys: 3, Entries: []demand.Entry{
			{Name: "www.gslb.example", Type: "A", Client: client, Queries: 5}, {Name: "api.gslb.example", Type: "A", Client: client, Queries: 3},
			{Name: "www.gslb.example", Type: "AAAA", Client: client, Queries: 1}}}
	}
	c := b.serve()
	for _, q := range []struct {
		name  string
		limit int
		want  string
	}{
		{"", 0, "[5 3 1]"}, {"", 2, "[5 3]"}, {"WWW.gslb.example.", 0, "[5 1]"}, {"www.gslb.example", 1, "[5]"}, {"nobody", 0, "[]"},
	} {
		r, err := c.Demand(short(t), q.name, q.limit)
		var got []float64
		for _, e := range r.Entries {
			got = append(got, e.Queries)
		}
		if err != nil || fmt.Sprint(got) != q.want || r.Queries != 9 || r.Keys != 3 {
			t.Errorf("%+v: %+v %v", q, r, err)
		}
	}
	for _, limit := range []string{"0", "-1", "many", "1e3"} {
		b.refused(http.MethodGet, "/v1/demand?limit="+limit, "", http.StatusBadRequest, "no whole number")
	}
	b.refused(http.MethodGet, "/v1/demand?nmae=x", "", http.StatusBadRequest, "does not exist")
}

func TestAnswers(t *testing.T) {
	b := newBench(t)
	b.refused(http.MethodGet, "/v1/answers", "", http.StatusNotFound, "does not serve DNS")
	records := []dnsserver.Record{{Name: "www.gslb.example", Dice: 1<<64 - 1, Service: "web", Client: netip.MustParsePrefix("192.0.2.0/24"),
		Health: []dnsserver.RecordHealth{{Endpoint: "web/one", State: policy.Down, TTL: 3}}}, {Name: "api.gslb.example"}, {Name: "www.gslb.example"}}
	b.Answers = func() []dnsserver.Record { return slices.Clone(records) }
	b.Replay = func(r dnsserver.Record) (Replayed, error) { return Replayed{Record: r, Same: true, Generation: 4}, nil }
	c := b.serve()
	for _, q := range []struct {
		name        string
		limit, want int
	}{{"", 0, 3}, {"", 2, 2}, {"WWW.gslb.example.", 0, 2}, {"www.gslb.example", 1, 1}, {"nobody", 0, 0}} {
		list, err := c.Answers(short(t), q.name, q.limit)
		if err != nil || len(list) != q.want {
			t.Errorf("%+v: %+v %v", q, list, err)
		}
	}
	list, err := c.Answers(short(t), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Replay(short(t), list[0]); err != nil || !r.Same || r.Generation != 4 || !reflect.DeepEqual(r.Record.Health, records[0].Health) || r.Record.Dice != records[0].Dice {
		t.Errorf("%+v %v", r, err)
	}
	b.refused(http.MethodGet, "/v1/answers?limit=0", "", http.StatusBadRequest, "no whole number")
	b.refused(http.MethodGet, "/v1/answers?client=x", "", http.StatusBadRequest, "does not exist")
	b.refused(http.MethodPost, "/v1/replay", "", http.StatusBadRequest, "the body is empty")
	b.refused(http.MethodPost, "/v1/replay", `{"dice": 5}`, http.StatusBadRequest, "dice")
}
