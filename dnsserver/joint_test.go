package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// jointSnapshot has one service of three endpoints, one without IPv6, with ports of their own, at names that HTTPS and SRV answer too, and
// in a zone where nothing but addresses does.
func jointSnapshot(t *testing.T) *registry.Snapshot {
	service := policy.ServiceSpec{Name: "web"}
	for i := range 3 {
		e := policy.EndpointSpec{Name: fmt.Sprint("e", i), V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Port: uint16(8000 + i), Weight: uint32(i + 1)}
		if i > 0 {
			e.V6 = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
		}
		service.Endpoints = append(service.Endpoints, e)
	}
	plan, problems := policy.Compile(policy.Spec{
		Services: []policy.ServiceSpec{service},
		Policies: []policy.PolicySpec{{Name: "drawn", Stages: []policy.StageSpec{policy.Healthy{}, policy.Weighted{}, policy.Take{N: 1}}}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	steered := func(owner string, types ...string) zone.RecordSpec {
		return zone.RecordSpec{Owner: owner, TTL: 30, Steer: &zone.SteerSpec{Service: "web", Policy: "drawn", Types: types}}
	}
	zones, problems := zone.Compile([]zone.Spec{
		{Name: "joint.example", NS: []string{"ns.elsewhere.test."}, Records: []zone.RecordSpec{steered("www", "A", "AAAA", "HTTPS"), steered("other")}},
		{Name: "alone.example", NS: []string{"ns.elsewhere.test."}, Records: []zone.RecordSpec{steered("www")}},
	}, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &registry.Snapshot{Gen: 1, World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints())}
}

// TestOneDraw: where a policy draws, HTTPS, A and AAAA of a client agree whichever worker or node answers, at any name of the zone; the
// draws of many clients, and of one over time, have the weights' shares; and where nothing but addresses is answered, each question draws.
func TestOneDraw(t *testing.T) {
	s := jointSnapshot(t)
	now := int64(1_800_000_000)
	var nodes []*Answerer
	for seed := range byte(2) {
		nodes = append(nodes, NewAnswerer(AnswererOptions{
			Snapshot: func() *registry.Snapshot { return s }, Dice: rand.NewChaCha8([32]byte{seed}).Uint64, Now: func() int64 { return now },
		}))
	}
	addrOf := func(name string, qtype uint16, client string, node int) string {
		m := answer(t, nodes[node], query(name, qtype, subnet(client)))
		if len(m.Answer) != 1 {
			t.Fatalf("%s %s: %v", name, dns.Type(qtype), m.Answer)
		}
		if o := subnetOf(m); o.SourceScope != 0 {
			t.Fatalf("%s %s: scope %d", name, dns.Type(qtype), o.SourceScope)
		}
		switch rr := m.Answer[0].(type) {
		case *dns.A:
			return rr.A.String()
		case *dns.AAAA:
			return rr.AAAA.String()
		case *dns.HTTPS:
			text := ""
			for _, v := range rr.Value {
				if k := v.Key(); k == dns.SVCB_IPV4HINT || k == dns.SVCB_IPV6HINT {
					text += v.String() + " "
				}
			}
			return text
		}
		return ""
	}
	const clients = 6000
	counts := map[string]int{}
	for i := range clients {
		client := fmt.Sprintf("198.%d.%d.0/24", 18+i>>8, i&255)
		if i%2 == 1 { // and one client over time
			client = "203.0.113.0/24"
			now += policy.JointSeconds
		}
		v4, v6 := addrOf("www.joint.example", dns.TypeA, client, i&1), addrOf("www.joint.example", dns.TypeAAAA, client, i>>1&1)
		hints := addrOf("www.joint.example", dns.TypeHTTPS, client, i>>2&1)
		want := v4 + " "
		if v4 != "192.0.2.0" {
			want += v6 + " "
		}
		if hints != want {
			t.Fatalf("%s: A %s, AAAA %s, hints %s", client, v4, v6, hints)
		}
		if got := addrOf("other.joint.example", dns.TypeA, client, 0); got != v4 {
			t.Fatalf("%s: %s at one name, %s at another of the same service", client, v4, got)
		}
		counts[v4]++
	}
	for i, share := range []float64{1. / 6, 2. / 6, 3. / 6} {
		if got := float64(counts[fmt.Sprint("192.0.2.", i)]) / clients; got < share-0.025 || got > share+0.025 {
			t.Errorf("endpoint %d has %.3f of the clients, want %.3f", i, got, share)
		}
	}
	var seen []string
	for range 200 {
		if a := addrOf("www.alone.example", dns.TypeA, "198.51.100.0/24", 0); !slices.Contains(seen, a) {
			seen = append(seen, a)
		}
	}
	if len(seen) != 3 {
		t.Errorf("where only addresses are answered, one client saw %v", seen)
	}
}
