package differential

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/dnsserver/zone/zonefile"
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
	byName := map[string]*testZone{}
	for _, z := range zones {
		byName[z.apex] = z
	}
	for range 20 {
		_, problems := zone.Compile(specs(t, zones), nil)
		if len(problems) == 0 {
			return reasons
		}
		drop := map[string]map[int]bool{} // lines of zones
		for _, p := range problems {
			if p.Line == 0 {
				t.Fatal(p)
			}
			if drop[p.File] == nil {
				drop[p.File] = map[int]bool{}
			}
			drop[p.File][p.Line] = true
			reasons[reason.FindString(strings.Split(p.Msg, "; ")[0])]++
		}
		for file, lines := range drop {
			z := byName[file]
			var kept []record
			for i, r := range z.records {
				if !lines[i+1] {
					kept = append(kept, r)
				}
			}
			z.records = kept
		}
	}
	t.Fatal("problems without end")
	return nil
}

// reason finds what matters in a message: most have the name first.
var reason = regexp.MustCompile(`[a-z-]+ [a-z-]+ [a-z-]+ .*`)

// specs reads the zones as zone files, each called by its apex.
func specs(t *testing.T, zones []*testZone) []zone.Spec {
	t.Helper()
	var out []zone.Spec
	for _, z := range zones {
		apex, err := wire.ParseName(z.apex)
		if err != nil {
			t.Fatal(err)
		}
		rrs, _, problems := zonefile.Parse(zonefile.Source{FS: fstest.MapFS{z.apex: {Data: []byte(z.text())}}, Name: z.apex, Origin: apex})
		if len(problems) > 0 {
			t.Fatalf("%s: %v", z.apex, problems)
		}
		out = append(out, zone.Spec{Name: z.apex, File: z.apex, RRs: rrs})
	}
	return out
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
	set, problems := zone.Compile(specs(t, zones), plan)
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
