package upstream

import (
	"fmt"
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// weights compiles a Plan with one service "s" whose endpoints e0, e1 … have the given weights and listen at 192.0.2.1:80, .2:80 …
func weights(t testing.TB, w ...uint32) *policy.Plan {
	t.Helper()
	svc := policy.ServiceSpec{Name: "s"}
	for i, w := range w {
		svc.Endpoints = append(svc.Endpoints, policy.EndpointSpec{
			Name: fmt.Sprintf("e%d", i), V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Port: 80, Weight: w,
		})
	}
	return compile(t, policy.Spec{Services: []policy.ServiceSpec{svc}})
}

func compile(t testing.TB, s policy.Spec) *policy.Plan {
	t.Helper()
	p, problems := policy.Compile(s)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// ids returns 0 … n-1.
func ids(n int) []policy.EndpointID {
	out := make([]policy.EndpointID, n)
	for i := range out {
		out[i] = policy.EndpointID(i)
	}
	return out
}
