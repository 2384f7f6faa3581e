package registry

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// many returns a Registry of n published endpoints in services of 1000, and the Catalog.
func many(b *testing.B, n int) (*Registry, Catalog) {
	d := Definition{Policy: policy.Spec{Sites: []policy.SiteSpec{{Name: "here"}}}}
	c := Catalog{Services: map[string][]policy.EndpointSpec{}}
	for i := range n {
		service := fmt.Sprintf("s%d", i/1000)
		if i%1000 == 0 {
			d.Policy.Services = append(d.Policy.Services, policy.ServiceSpec{Name: service})
		}
		c.Services[service] = append(c.Services[service], policy.EndpointSpec{
			Name: fmt.Sprintf("e%d", i), V4: netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), Site: "here", Weight: 1, Port: 80,
			Meta: map[string]string{"version": "1"},
		})
	}
	compiled, problems := Compile(d)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	r := New(Options{})
	r.Apply(compiled)
	r.Publish("bench", c)
	if got := r.Snapshot().Plan.NumEndpoints(); got != n {
		b.Fatal(got)
	}
	return r, c
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, c := many(b, n)
			weight := uint32(1)
			for b.Loop() {
				weight = weight%policy.MaxWeight + 1
				changed := Catalog{Services: map[string][]policy.EndpointSpec{}}
				for s, list := range c.Services {
					changed.Services[s] = list
				}
				list := append([]policy.EndpointSpec{}, c.Services["s0"]...)
				list[0].Weight = weight
				changed.Services["s0"] = list
				r.Publish("bench", changed)
			}
		})
	}
}

func BenchmarkReport(b *testing.B) {
	for _, n := range []int{10, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, _ := many(b, n)
			v := policy.Verdict{State: policy.Up}
			for b.Loop() {
				v.TTL = v.TTL%100 + 1
				r.Report("s0/e7", v)
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	r, _ := many(b, 1000)
	for b.Loop() {
		if r.Snapshot() == nil {
			b.Fatal()
		}
	}
}
