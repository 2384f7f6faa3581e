package policy

import (
	"encoding/json"
	"testing"
)

func TestVerdictWorseLaws(t *testing.T) {
	var all []Verdict
	for state := Unknown; state <= Drained; state++ {
		for _, forced := range []bool{false, true} {
			for _, ttl := range []uint32{0, 1, 5, 1<<32 - 1} {
				all = append(all, Verdict{state, forced, Load(ttl % 2), ttl})
			}
		}
	}
	for _, a := range all {
		if got := a.Worse(a); got != a {
			t.Fatalf("%v.Worse(itself) = %v", a, got)
		}
		if got := a.Worse(Verdict{}); got != a {
			t.Fatalf("%v.Worse(zero) = %v", a, got)
		}
		for _, b := range all {
			ab := a.Worse(b)
			if ba := b.Worse(a); ab != ba {
				t.Fatalf("%v and %v: %v one way, %v the other", a, b, ab, ba)
			}
			if ab.State < a.State || ab.State < b.State {
				t.Fatalf("%v.Worse(%v) = %v is better", a, b, ab)
			}
			for _, c := range all {
				if x, y := ab.Worse(c), a.Worse(b.Worse(c)); x != y {
					t.Fatalf("%v, %v, %v: %v or %v", a, b, c, x, y)
				}
			}
		}
	}
}

func TestVerdictWorse(t *testing.T) {
	for _, tt := range []struct{ a, b, want Verdict }{
		{Verdict{State: Up, Forced: false, TTL: 10}, Verdict{State: Down, Forced: false, TTL: 20}, Verdict{State: Down, Forced: false, TTL: 10}},
		{Verdict{State: Up, Forced: false, TTL: 0}, Verdict{State: Unknown, Forced: false, TTL: 7}, Verdict{State: Up, Forced: false, TTL: 7}},
		{Verdict{State: Down, Forced: false, TTL: 3}, Verdict{State: Drained, Forced: true, TTL: 0}, Verdict{State: Drained, Forced: true, TTL: 3}},
		{Verdict{State: Up, Forced: true, TTL: 0}, Verdict{State: Up, Forced: false, TTL: 0}, Verdict{State: Up, Forced: true, TTL: 0}},
	} {
		if got := tt.a.Worse(tt.b); got != tt.want {
			t.Errorf("%v.Worse(%v) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestStateText(t *testing.T) {
	for state, want := range map[State]string{Unknown: "unknown", Up: "up", Down: "down", Drained: "drained"} {
		if state.String() != want {
			t.Errorf("String() = %q, want %q", state, want)
		}
		text, err := json.Marshal(state)
		if err != nil || string(text) != `"`+want+`"` {
			t.Errorf("marshalled %s, %v", text, err)
		}
		var back State
		if err := json.Unmarshal(text, &back); err != nil || back != state {
			t.Errorf("%s came back as %v, %v", text, back, err)
		}
		if state.Usable() != (want == "unknown" || want == "up") {
			t.Errorf("%v.Usable() = %v", state, state.Usable())
		}
	}
	var s State
	for _, bad := range []string{"", "UP", "upp", "4"} {
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is accepted as %v", bad, s)
		}
	}
	if _, err := State(9).MarshalText(); err == nil {
		t.Error("state 9 is marshalled")
	}
	if got := State(9).String(); got != "state(9)" {
		t.Errorf("state 9 is %q", got)
	}
}

func TestReasonAndFamilyText(t *testing.T) {
	for i, want := range []string{"static", "weight", "sticky", "canary", "schedule", "geo", "shed", "failover", "override", "fallback", "fail_open", "fail_closed"} {
		r := Reason(i)
		text, err := r.MarshalText()
		if r.String() != want || string(text) != want || err != nil {
			t.Errorf("reason %d is %q, %q, %v", i, r, text, err)
		}
	}
	if _, err := Reason(77).MarshalText(); err == nil || Reason(77).String() != "reason(77)" {
		t.Errorf("reason 77: %v, %q", err, Reason(77))
	}
	for i, want := range []string{"any", "v4", "v6", "address", "host", "target", "text", "server", "family(8)"} {
		if got := Family(i).String(); got != want {
			t.Errorf("family %d is %q, want %q", i, got, want)
		}
	}
}

// Every Health ever made must keep what it said, whatever was made from it later.
func TestHealthNeverChanges(t *testing.T) {
	const n = 3*pageSize + 7
	r := seeded(1)
	model := make([]Verdict, n)
	h := NewHealth(n)
	type moment struct {
		h     Health
		model []Verdict
	}
	var past []moment
	for range 400 {
		past = append(past, moment{h, append([]Verdict(nil), model...)})
		id := EndpointID(r.IntN(n))
		v := Verdict{State(r.IntN(4)), r.IntN(2) == 0, Load(r.IntN(3)), uint32(r.IntN(3))}
		h = h.With(id, v)
		model[id] = v
	}
	for i, m := range past {
		for id, want := range m.model {
			if got := m.h.Of(EndpointID(id)); got != want {
				t.Fatalf("after %d changes, endpoint %d is %v, was %v", i, id, got, want)
			}
		}
		same := HealthOf(m.model)
		for id := range m.model {
			if same.Of(EndpointID(id)) != m.h.Of(EndpointID(id)) {
				t.Fatalf("HealthOf differs at %d", id)
			}
		}
		if same.Len() != m.h.Len() {
			t.Fatalf("HealthOf has length %d, want %d", same.Len(), m.h.Len())
		}
	}
}

func TestHealthBounds(t *testing.T) {
	down := Verdict{State: Down}
	for _, n := range []int{0, 1, pageSize - 1, pageSize, pageSize + 1} {
		h := NewHealth(n)
		if h.Len() != n {
			t.Errorf("NewHealth(%d).Len() = %d", n, h.Len())
		}
		if got := h.With(EndpointID(n), down).Of(EndpointID(n)); got != (Verdict{}) {
			t.Errorf("endpoint %d of %d is %v", n, n, got)
		}
		if got := h.Of(1 << 31); got != (Verdict{}) {
			t.Errorf("an endpoint far away is %v", got)
		}
		if n > 0 {
			if got := h.With(EndpointID(n-1), down).Of(EndpointID(n - 1)); got != down {
				t.Errorf("the last of %d is %v", n, got)
			}
		}
	}
	if got := (Health{}).With(0, down).Of(0); got != (Verdict{}) {
		t.Errorf("the zero Health says %v", got)
	}
}

func TestHealthWithCopiesOnePage(t *testing.T) {
	h := NewHealth(10 * pageSize)
	g := h.With(5*pageSize, Verdict{State: Up})
	shared := 0
	for i := range h.pages {
		if h.pages[i] == g.pages[i] {
			shared++
		}
	}
	if shared != 9 {
		t.Errorf("%d of 10 pages are shared, want 9", shared)
	}
	if k := g.With(5*pageSize, Verdict{State: Up}); &k.pages[0] != &g.pages[0] {
		t.Error("saying the same again copied")
	}
}
