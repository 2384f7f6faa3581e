package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/meridian-gslb/meridian/demand"
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
