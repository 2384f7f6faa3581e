package consul

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/meridian-gslb/meridian/policy"
)

// instance returns one with the given node, id, tags and checks.
func instance(node, id string, edits ...func(*api.ServiceEntry)) *api.ServiceEntry {
	e := &api.ServiceEntry{
		Node:    &api.Node{Node: node, Datacenter: "dc1", Address: "10.0.0.1"},
		Service: &api.AgentService{ID: id, Service: "api", Port: 8080, Weights: api.AgentWeights{Passing: 1, Warning: 1}},
	}
	for _, edit := range edits {
		edit(e)
	}
	return e
}

func tags(list ...string) func(*api.ServiceEntry) {
	return func(e *api.ServiceEntry) { e.Service.Tags = list }
}

func meta(pairs ...string) func(*api.ServiceEntry) {
	return func(e *api.ServiceEntry) {
		e.Service.Meta = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			e.Service.Meta[pairs[i]] = pairs[i+1]
		}
	}
}

func checks(statuses ...string) func(*api.ServiceEntry) {
	return func(e *api.ServiceEntry) {
		for i, s := range statuses {
			id := fmt.Sprint("c", i)
			if s == api.HealthMaint {
				id, s = api.NodeMaint, api.HealthCritical
			}
			e.Checks = append(e.Checks, &api.HealthCheck{CheckID: id, Status: s})
		}
	}
}

// show writes what came of instances, a line each.
func show(list ...*api.ServiceEntry) string {
	r := reader{prefix: DefaultPrefix, sites: map[string]string{"dc1": "eu-west", "us-east": "us-east"}, service: "api"}
	return showReader(&r, list)
}

func showReader(r *reader, list []*api.ServiceEntry) string {
	for _, e := range list {
		r.read(e)
	}
	r.name()
	var out []string
	for _, f := range r.found {
		s := fmt.Sprintf("%s %s %s %s :%d w%d at %q", f.spec.Name, dash(f.spec.V4), dash(f.spec.V6), f.spec.Host, f.spec.Port, f.spec.Weight, f.spec.Site)
		if f.state != policy.Unknown {
			s += " " + f.state.String()
		}
		out = append(out, strings.Join(strings.Fields(s), " "))
	}
	for _, x := range r.refused {
		out = append(out, "refused "+x.Name+": "+x.Reason)
	}
	return strings.Join(out, "\n")
}

func dash(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// TestInstances: what becomes of an instance.
func TestInstances(t *testing.T) {
	wan := func(addr string, port int) func(*api.ServiceEntry) {
		return func(e *api.ServiceEntry) {
			e.Service.TaggedAddresses = map[string]api.ServiceAddress{"wan": {Address: addr, Port: port}}
		}
	}
	address := func(s string) func(*api.ServiceEntry) { return func(e *api.ServiceEntry) { e.Service.Address = s } }
	weights := func(passing, warning int) func(*api.ServiceEntry) {
		return func(e *api.ServiceEntry) {
			e.Service.Weights = api.AgentWeights{Passing: passing, Warning: warning}
		}
	}
	for _, tt := range []struct {
		name string
		in   []*api.ServiceEntry
		want string
	}{
		{"the node's address", []*api.ServiceEntry{instance("n1", "api-1")}, `api-1 10.0.0.1 - :8080 w1 at "eu-west"`},
		{"the service's address", []*api.ServiceEntry{instance("n1", "api-1", address("192.0.2.1"))}, `api-1 192.0.2.1 - :8080 w1 at "eu-west"`},
		{"IPv6", []*api.ServiceEntry{instance("n1", "api-1", address("2001:db8::1"))}, `api-1 - 2001:db8::1 :8080 w1 at "eu-west"`},
		{"mapped IPv4", []*api.ServiceEntry{instance("n1", "api-1", address("::ffff:192.0.2.1"))}, `api-1 192.0.2.1 - :8080 w1 at "eu-west"`},
		{"a name", []*api.ServiceEntry{instance("n1", "api-1", address("lb.example.net"))}, `api-1 - - lb.example.net :8080 w1 at "eu-west"`},
		{"the WAN address goes first, with its port", []*api.ServiceEntry{instance("n1", "api-1", address("10.1.1.1"), wan("198.51.100.1", 443))}, `api-1 198.51.100.1 - :443 w1 at "eu-west"`},
		{"a WAN address without port", []*api.ServiceEntry{instance("n1", "api-1", wan("198.51.100.1", 0))}, `api-1 198.51.100.1 - :8080 w1 at "eu-west"`},
		{"the node's WAN addresses, of both families", []*api.ServiceEntry{instance("n1", "api-1", func(e *api.ServiceEntry) {
			e.Node.TaggedAddresses = map[string]string{"wan_ipv4": "198.51.100.7", "wan_ipv6": "2001:db8::7", "lan": "10.0.0.7"}
		})}, `api-1 198.51.100.7 2001:db8::7 :8080 w1 at "eu-west"`},
		{"weights by health", []*api.ServiceEntry{
			instance("n1", "a", weights(10, 2), checks(api.HealthPassing)), instance("n1", "b", weights(10, 2), checks(api.HealthPassing, api.HealthWarning)),
		}, "a 10.0.0.1 - :8080 w10 at \"eu-west\"\nb 10.0.0.1 - :8080 w2 at \"eu-west\""},
		{"critical is down, maintenance drained", []*api.ServiceEntry{
			instance("n1", "a", checks(api.HealthCritical)), instance("n1", "b", checks(api.HealthMaint, api.HealthCritical)),
		}, "a 10.0.0.1 - :8080 w1 at \"eu-west\" down\nb 10.0.0.1 - :8080 w1 at \"eu-west\" drained"},
		{"tags", []*api.ServiceEntry{instance("n1", "a", tags("web", "meridian.weight=7", "meridian.site=us-east", "meridian.port=9000", "meridian.address=192.0.2.9,2001:db8::9"))},
			`a 192.0.2.9 2001:db8::9 :9000 w7 at "us-east"`},
		{"metadata goes before tags", []*api.ServiceEntry{instance("n1", "a", tags("meridian.weight=7"), meta("meridian_weight", "9", "rack", "7"))}, `a 10.0.0.1 - :8080 w9 at "eu-west"`},
		{"not for us", []*api.ServiceEntry{instance("n1", "a", tags("meridian.enable=false")), instance("n1", "b", tags("meridianx.weight=7", "meridian"))}, `b 10.0.0.1 - :8080 w1 at "eu-west"`},
		{"the id is the service's name: the node's stands for it", []*api.ServiceEntry{instance("n1", "api"), instance("n2", "api")},
			"n1 10.0.0.1 - :8080 w1 at \"eu-west\"\nn2 10.0.0.1 - :8080 w1 at \"eu-west\""},
		{"one id on two nodes", []*api.ServiceEntry{instance("n2", "a"), instance("n1", "a"), instance("n3", "b")},
			"b 10.0.0.1 - :8080 w1 at \"eu-west\"\nn1.a 10.0.0.1 - :8080 w1 at \"eu-west\"\nn2.a 10.0.0.1 - :8080 w1 at \"eu-west\""},
		{"ids as Nomad makes them", []*api.ServiceEntry{instance("n1", "_nomad-task-5/web http")}, `nomad-task-5-web-http 10.0.0.1 - :8080 w1 at "eu-west"`},
		{"bad ones are refused alone", []*api.ServiceEntry{
			instance("n1", "a", tags("meridian.weight=NaN")), instance("n1", "b", tags("meridian.weight=-1")), instance("n1", "c", tags("meridian.weight=1e309")),
			instance("n1", "d", tags("meridian.site=mars")), instance("n1", "e", tags("meridian.wieght=3")), instance("n1", "f", tags("meridian.port=0")),
			instance("n1", "g", weights(-5, 1)), instance("n1", "h", tags("meridian.enable=maybe")), instance("n1", "i", tags("meridian.address=192.0.2.1,lb.example.net")),
			instance("n1", "j", func(e *api.ServiceEntry) { e.Service.Port = 70000 }), instance("n1", "k", func(e *api.ServiceEntry) { e.Node.Address = "" }), instance("n1", "l"),
		}, `l 10.0.0.1 - :8080 w1 at "eu-west"
refused a: meridian.weight is "NaN": want a whole number, 0 to 1048576
refused b: meridian.weight is "-1": want a whole number, 0 to 1048576
refused c: meridian.weight is "1e309": want a whole number, 0 to 1048576
refused d: meridian.site is "mars": there is no such site
refused e: meridian.wieght is not known: want enable, weight, site, port, address, host, text or alpn
refused f: meridian.port is "0": want 1 to 65535
refused g: weight -5 is out of range: want 0 to 1048576
refused h: meridian.enable is "maybe": want true or false
refused i: meridian.address is "192.0.2.1,lb.example.net": want an IP address, a name, or one address of each family with a comma between
refused j: port 70000 is out of range
refused k: it has no address`},
		{"another datacenter is no site of ours", []*api.ServiceEntry{instance("n1", "a", func(e *api.ServiceEntry) { e.Node.Datacenter = "dc9" })}, `a 10.0.0.1 - :8080 w1 at ""`},
		{"nothing at all", []*api.ServiceEntry{nil, {}, {Node: &api.Node{}}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := show(tt.in...); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	lan := reader{prefix: "acme", lan: true, service: "api"}
	if got := showReader(&lan, []*api.ServiceEntry{instance("n1", "a", wan("198.51.100.1", 443), tags("acme.weight=3", "meridian.weight=4"))}); got != `a 10.0.0.1 - :8080 w3 at ""` {
		t.Errorf("LAN, another prefix: %s", got)
	}
}

// TestMetadataIsKept: what is not for us stays with the endpoint, and Consul's own map is not touched.
func TestMetadataIsKept(t *testing.T) {
	e := instance("n1", "a", meta("meridian-weight", "3", "rack", "7"))
	r := reader{prefix: DefaultPrefix, service: "api"}
	r.read(e)
	if got := r.found[0].spec.Meta; !reflect.DeepEqual(got, map[string]string{"rack": "7"}) || len(e.Service.Meta) != 2 {
		t.Errorf("%v, and in Consul's answer %v", got, e.Service.Meta)
	}
}

// FuzzInstance: whatever Consul says, there is an endpoint or a reason, and names are ones that endpoints may have.
func FuzzInstance(f *testing.F) {
	f.Add("n1", "api", "10.0.0.1", "meridian.weight=3", "meridian_site", "eu-west", 80, 1)
	f.Add("", "_x", "", "meridian.address=", "meridian.alpn", "h2,h3", math.MaxInt, -1)
	f.Add("n/1", "☃", "::1%eth0", "MERIDIAN.ENABLE=0", "", "", 0, 0)
	plan, problems := policy.Compile(policy.Spec{Sites: []policy.SiteSpec{{Name: "eu-west"}}, Services: []policy.ServiceSpec{{Name: "api"}}})
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, node, id, addr, tag, key, value string, port, weight int) {
		e := instance(node, id, tags(tag), meta(key, value))
		e.Node.Address, e.Service.Port, e.Service.Weights.Passing = addr, port, weight
		r := reader{prefix: DefaultPrefix, sites: map[string]string{"eu-west": "eu-west"}, service: "api"}
		r.read(e)
		r.name()
		if len(r.found)+len(r.refused) > 1 {
			t.Fatalf("%d found, %d refused of one", len(r.found), len(r.refused))
		}
		for _, x := range r.found {
			if strings.ContainsAny(x.spec.Name, "/ \x00") {
				t.Fatalf("name %q", x.spec.Name)
			}
			plan.CheckEndpoint(x.spec) // says what is wrong, and does not panic
		}
	})
}
