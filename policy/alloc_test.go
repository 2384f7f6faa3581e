package policy

import (
	"net/netip"
	"testing"
	"unsafe"
)

// Decide is on the path of every question: it must not allocate once its Scratch has met the service.
func TestDecideDoesNotAllocate(t *testing.T) {
	p := mustCompile(t, benchSpec(2000))
	mixed := NewHealth(p.NumEndpoints())
	down := mixed
	for id := range EndpointID(p.NumEndpoints()) {
		mixed = mixed.With(id, Verdict{State: State(id % 4), Load: Load(id * 100)})
		down = down.With(id, Verdict{State: Down})
	}
	var s Scratch
	for _, client := range []string{"10.1.2.0/24", "2001:db8::/56", "::ffff:10.1.2.3/128"} {
		for service := range ServiceID(p.NumServices()) {
			for policy := range PolicyID(p.NumPolicies()) {
				for _, h := range []Health{{}, mixed, down} {
					q := Query{Service: service, Policy: policy, Client: netip.MustParsePrefix(client)}
					if n := testing.AllocsPerRun(20, func() {
						q.Dice++
						p.Decide(&s, q, h)
					}); n != 0 {
						t.Errorf("%s, %s from %s: %v allocations", p.ServiceName(service), p.PolicyName(policy), client, n)
					}
				}
			}
		}
	}
}

// Services have many endpoints, and a Decision copies a candidate for each of them.
func TestCandidateIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(candidate{}); size != 16 {
		t.Errorf("a candidate takes %d bytes, want 16", size)
	}
}
