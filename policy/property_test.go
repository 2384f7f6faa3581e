package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// checkDecision checks everything that holds of any Decision.
func checkDecision(t *testing.T, spec Spec, p *Plan, s *Scratch, q Query, h Health) {
	t.Helper()
	d := p.Decide(s, q, h)
	got := d
	got.Endpoints = slices.Clone(d.Endpoints)

	again := p.Decide(new(Scratch), q, h)
	if !sameDecision(got, again) || got.Scope != again.Scope {
		t.Fatalf("decided %+v, then %+v\nquery %+v", got, again, q)
	}
	if want := reference(spec, q, h); !sameDecision(got, want) {
		t.Fatalf("decided %+v, the reference says %+v\nquery %+v\nspec %s", got, want, q, show(spec))
	}
	trace := p.Explain(q, h)
	if !sameDecision(got, trace.Decision) || got.Scope != trace.Decision.Scope {
		t.Fatalf("decided %+v, explained %+v\nquery %+v\nspec %s", got, trace.Decision, q, show(spec))
	}
	checkTrace(t, p, trace)

	if len(got.Endpoints) == 0 && p.HasFamily(q.Service, q.Family) && !strings.Contains(show(spec), "Closed:true") && q.Short < ShortageClosed {
		t.Fatalf("nothing chosen of something\nquery %+v\nspec %s", q, show(spec))
	}
	for i, id := range got.Endpoints {
		if slices.Contains(got.Endpoints[:i], id) {
			t.Fatalf("endpoint %d chosen twice", id)
		}
		if p.Endpoint(id).Service != q.Service {
			t.Fatalf("endpoint %d is of another service", id)
		}
	}
	if startsHealthy(spec, q) && got.Reason != ReasonFailOpen {
		for _, id := range got.Endpoints {
			if !h.Of(id).State.Usable() {
				t.Fatalf("endpoint %d is %v and was chosen, reason %v", id, h.Of(id).State, got.Reason)
			}
		}
	}
}

// checkTrace checks that the stages of a Trace follow from one another and end in the answer.
func checkTrace(t *testing.T, p *Plan, trace Trace) {
	t.Helper()
	names := func(list []CandidateTrace) (out []string) {
		for _, c := range list {
			out = append(out, c.Name)
		}
		return out
	}
	var before []string
	for i, stage := range trace.Stages {
		kept := slices.DeleteFunc(slices.Clone(stage.Kept), func(c CandidateTrace) bool { return c.Returned })
		now := slices.Concat(names(kept), names(stage.Dropped))
		slices.Sort(now)
		if i > 0 && !slices.Equal(now, before) {
			t.Fatalf("stage %d (%s) has %v, the one before left %v", i, stage.Stage, now, before)
		}
		for _, d := range stage.Dropped {
			if d.Why == "" {
				t.Fatalf("stage %d (%s) dropped %s without a reason", i, stage.Stage, d.Name)
			}
		}
		before = names(stage.Kept)
		slices.Sort(before)
	}
	last := names(trace.Stages[len(trace.Stages)-1].Kept)
	if len(trace.Endpoints) > len(last) || !slices.Equal(trace.Endpoints, last[:len(trace.Endpoints)]) {
		t.Fatalf("answer %v, the last stage left %v", trace.Endpoints, last)
	}
}

// startsHealthy reports whether the first stage of a policy is Healthy.
func startsHealthy(s Spec, q Query) bool {
	if int(q.Policy) >= len(s.Policies) {
		return true
	}
	_, ok := s.Policies[q.Policy].Stages[0].(Healthy)
	return ok
}

func show(s Spec) string {
	out, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s\nstages %+v", out, s.Policies)
}

func TestDecideEqualsReference(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 400
	}
	var s Scratch
	for seed := range uint64(rounds) {
		r := seeded(seed)
		spec := randomSpec(r)
		p := mustCompile(t, spec)
		for range 12 {
			checkDecision(t, spec, p, &s, randomQuery(r, p), randomHealth(r, p))
		}
	}
}

func TestWithServicesEqualsCompile(t *testing.T) {
	for seed := range uint64(300) {
		r := seeded(seed)
		spec, other := randomSpec(r), randomSpec(r)
		services := other.Services
		for i := range services {
			for k := range services[i].Endpoints {
				services[i].Endpoints[k].Site = spec.Sites[0].Name
			}
		}
		got, problems := mustCompile(t, spec).WithServices(services)
		if problems != nil {
			t.Fatal(problems)
		}
		spec.Services = services
		if want := mustCompile(t, spec); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: another Plan", seed)
		}
	}
}

func FuzzCompileDecide(f *testing.F) {
	for seed := range uint64(32) {
		r := seeded(seed)
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &fuzzBytes{data}
		spec := randomSpec(c)
		spoil(c, &spec)
		p, problems := Compile(spec)
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("a Plan and problems %v, or neither", problems)
		}
		for _, x := range problems {
			if len(x.Path) == 0 || x.Msg == "" {
				t.Fatalf("problem without a path or a message: %+v", x)
			}
		}
		if p != nil {
			checkDecision(t, spec, p, new(Scratch), randomQuery(c, p), randomHealth(c, p))
		}
	})
}

// spoil makes a Spec wrong, half of the time.
func spoil(c chances, s *Spec) {
	site := &s.Sites[c.IntN(len(s.Sites))]
	policy := &s.Policies[c.IntN(len(s.Policies))]
	service := &s.Services[c.IntN(len(s.Services))]
	switch c.IntN(16) {
	case 0:
		site.Name = ""
	case 1:
		site.At = &Point{float64(c.IntN(400) - 200), float64(c.IntN(800) - 400)}
	case 2:
		site.Name = "nearest"
	case 3:
		policy.Stages = append(policy.Stages, nil)
	case 4:
		policy.Stages = append(policy.Stages, Take{-c.IntN(3)})
	case 5:
		policy.Stages = append(policy.Stages, Failover{Threshold: float64(c.IntN(5) - 2)})
	case 6:
		policy.Stages = append(policy.Stages, Geo{})
	case 7:
		service.Endpoints = append(service.Endpoints, EndpointSpec{Name: "x", Site: "nowhere", Weight: 1 << 30})
	case 8:
		s.Networks = append(s.Networks, NetworkSpec{})
	}
}
