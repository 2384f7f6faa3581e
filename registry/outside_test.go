package registry

import (
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
)

// TestOutsideStays: what is known of names outside is in every Snapshot, whoever made it, until it is replaced.
func TestOutsideStays(t *testing.T) {
	r := applied(t, Options{})
	changed, cancel := r.Subscribe()
	defer cancel()
	before := r.Snapshot()
	o := zone.NewOutside([]zone.OutsideSet{{Name: wire.Name("\x01x\x00"), Type: wire.TypeA}})
	r.SetOutside(o)
	if s := r.Snapshot(); before.Outside != nil || s.Outside != o || s.Gen != before.Gen+1 || s.World != before.World {
		t.Errorf("before %+v, after %+v", before, s)
	}
	select {
	case <-changed:
		t.Error("subscribers are told of a change of the World")
	default:
	}
	name := r.Snapshot().Plan.Endpoint(0).Name
	for _, c := range []struct {
		what   string
		change func()
	}{
		{"Apply", func() { r.Apply(mustCompile(t, definition())) }},
		{"Publish", func() { r.Publish("test", catalog("web", ep("new", ""))) }},
		{"Report", func() { r.Report(name, policy.Verdict{State: policy.Down}) }},
		{"Force", func() { must(t, r.Force(drain(Target{KindEndpoint, name}))) }},
		{"Unforce", func() { must(t, r.Unforce(Target{KindEndpoint, name})) }},
	} {
		gen := r.Snapshot().Gen
		if c.change(); r.Snapshot().Gen == gen || r.Snapshot().Outside != o {
			t.Errorf("%s: no new Snapshot, or Outside is gone", c.what)
		}
	}
	r.SetOutside(nil)
	if r.Snapshot().Outside != nil {
		t.Error("Outside is not replaced")
	}
}
