package differential

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// ours is the server under test, in process.
type ours struct {
	udp, tcp *dnsserver.Answerer
}

// accept takes from the zones what we refuse to load, and returns how often it did so for each reason. The references load most of
// it; whether to refuse it is a decision of ours and tested elsewhere.
func accept(t *testing.T, zones []*testZone) map[string]int {
	t.Helper()
	reasons := map[string]int{}
	for range 20 {
		_, problems := zone.Compile(specs(zones), nil)
		if len(problems) == 0 {
			return reasons
		}
		drop := map[string]bool{} // "apex owner type", "apex owner *"
		for _, p := range problems {
			if len(p.Path) < 4 {
				t.Fatal(p)
			}
			kind := "*"
			if len(p.Path) > 4 {
				kind = p.Path[4]
			}
			drop[p.Path[1]+" "+p.Path[3]+" "+kind] = true
			reasons[reason.FindString(strings.Split(p.Msg, "; ")[0])]++
		}
		for _, z := range zones {
			z.records = slices.DeleteFunc(z.records, func(r record) bool {
				k := z.apex + " " + key(r.owner) + " "
				return r.rrtype != "SOA" && (drop[k+r.rrtype] || drop[k+"*"])
			})
		}
	}
	t.Fatal("problems without end")
	return nil
}

// reason finds what matters in a message: most have the name first.
var reason = regexp.MustCompile(`[a-z-]+ [a-z-]+ [a-z-]+ .*`)

func specs(zones []*testZone) []zone.Spec {
	var out []zone.Spec
	for _, z := range zones {
		out = append(out, spec(z))
	}
	return out
}

// spec turns records into a Spec.
func spec(z *testZone) zone.Spec {
	s := zone.Spec{Name: z.apex}
	owners := map[string]*zone.RecordSpec{}
	for _, r := range z.records {
		fields := strings.Fields(r.value)
		switch {
		case r.rrtype == "SOA":
			s.TTL = r.ttl
			s.SOA = zone.SOASpec{MName: fields[0], RName: fields[1], Serial: 7, Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: number(fields[6])}
			continue
		case r.rrtype == "NS" && r.owner == z.apex:
			s.NS = append(s.NS, r.value)
			continue
		}
		k := key(r.owner)
		o := owners[k]
		if o == nil {
			o = &zone.RecordSpec{Owner: k, TTL: r.ttl}
			owners[k] = o
		}
		i := slices.IndexFunc(o.Static, func(s zone.StaticSpec) bool { return s.Type == r.rrtype })
		if i < 0 {
			i = len(o.Static)
			o.Static = append(o.Static, zone.StaticSpec{Type: r.rrtype})
		}
		o.Static[i].Values = append(o.Static[i].Values, r.value)
	}
	for _, k := range slices.Sorted(maps.Keys(owners)) {
		s.Records = append(s.Records, *owners[k])
	}
	return s
}

func number(s string) (n uint32) {
	for _, c := range s {
		n = 10*n + uint32(c-'0')
	}
	return n
}

// serve loads all zones.
func serve(t *testing.T, zones []*testZone) *ours {
	t.Helper()
	plan, problems := policy.Compile(policy.Spec{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, problems := zone.Compile(specs(zones), plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	snapshot := &registry.Snapshot{Gen: 1, World: registry.World{Plan: plan, Zones: set}, Health: policy.NewHealth(0)}
	answerer := func(transport dnsserver.Transport) *dnsserver.Answerer {
		return dnsserver.NewAnswerer(dnsserver.AnswererOptions{
			Snapshot:  func() *registry.Snapshot { return snapshot },
			Dice:      func() uint64 { return 1 },
			Transport: transport,
		})
	}
	return &ours{udp: answerer(dnsserver.UDP), tcp: answerer(dnsserver.TCP)}
}

var client = netip.MustParseAddrPort("127.0.0.1:4444")

// ask answers a message.
func (o *ours) ask(msg []byte, tcp bool) []byte {
	if tcp {
		return o.tcp.Answer(nil, msg, client, 65535)
	}
	return o.udp.Answer(nil, msg, client, dnsserver.DefaultUDPSize)
}
