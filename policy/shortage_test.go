package policy

import (
	"net/netip"
	"slices"
	"testing"
)

// What a Query says of shortages goes before what its stages say.
func TestShortage(t *testing.T) {
	open, closed, half := Healthy{}, Healthy{Closed: true}, Healthy{Threshold: 0.5}
	const down, two = "eu1=down us1=down eu2=down ap1=down us2=down eu3=down none1=down", "us1=down eu2=down ap1=down us2=down none1=down!"
	for _, tt := range []struct {
		name   string
		stages []StageSpec
		short  Shortage
		health string
		want   string
	}{
		{"enough", []StageSpec{open}, ShortageEmpty, "eu1=down", "us1 eu2 ap1 us2 eu3 none1 static"},
		{"open by the policy", []StageSpec{open}, ShortageByPolicy, down, "eu1 us1 eu2 ap1 us2 eu3 none1 fail_open"},
		{"closed by the policy", []StageSpec{closed}, ShortageByPolicy, down, "fail_closed"},
		{"open", []StageSpec{closed}, ShortageOpen, down, "eu1 us1 eu2 ap1 us2 eu3 none1 fail_open"},
		{"closed", []StageSpec{open}, ShortageClosed, down, "fail_closed"},
		{"empty", []StageSpec{open}, ShortageEmpty, down, "fail_closed"},
		{"too little, closed", []StageSpec{half}, ShortageClosed, two, "eu1 eu3 override"},
		{"too little, empty", []StageSpec{half}, ShortageEmpty, two, "fail_closed"},
		{"what is taken is down", []StageSpec{Take{1}, open}, ShortageClosed, "eu1=down", "fail_closed"},
		{"a branch that works", []StageSpec{Failover{Branches: []Branch{
			{Sites: []string{"us"}, Stages: []StageSpec{open}}, {Sites: []string{"eu"}, Stages: []StageSpec{open}}}}},
			ShortageEmpty, "us1=down us2=down", "eu1 eu2 eu3 failover"},
		{"no branch that works", []StageSpec{Failover{Branches: []Branch{
			{Sites: []string{"us"}, Stages: []StageSpec{open}}, {Sites: []string{"eu"}, Stages: []StageSpec{open}}}}},
			ShortageEmpty, down, "fail_closed"},
		{"no stage that looks", []StageSpec{Take{2}}, ShortageEmpty, down, "eu1 us1 static"},
	} {
		p := mustCompile(t, worldSpec(tt.stages...))
		q := Query{Family: FamilyV4, Short: tt.short}
		checkDecision(t, worldSpec(tt.stages...), p, new(Scratch), q, healthOf(t, p, tt.health))
		var s Scratch
		d := p.Decide(&s, q, healthOf(t, p, tt.health))
		if got := words(p, d); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The scope of a decision does not depend on how much is up, nor on what is done where it is too little.
func TestScopeDoesNotDependOnShortage(t *testing.T) {
	for seed := range uint64(300) {
		r := seeded(seed)
		spec := randomSpec(r)
		g := randomGeo(r, spec)
		spec.Policies = []PolicySpec{{Name: "p", Stages: []StageSpec{Healthy{Min: r.IntN(3)}, g, Weighted{}, Take{1 + r.IntN(3)}}}}
		p := mustCompile(t, spec)
		down := make([]Verdict, p.NumEndpoints())
		for i := range down {
			down[i].State = []State{Up, Down, Drained}[r.IntN(3)]
		}
		a := randomAddr(r)
		q := Query{Client: netip.PrefixFrom(a, a.BitLen()), Policy: 0}
		var s Scratch
		want := p.Decide(&s, q, Health{}).Scope
		for short := range ShortageEmpty + 1 {
			q.Short = short
			for _, h := range []Health{HealthOf(down), HealthOf(slices.Repeat([]Verdict{{State: Down}}, len(down)))} {
				if got := p.Decide(&s, q, h); got.Scope != want {
					t.Fatalf("seed %d, shortage %d: scope %d, not %d\nspec %s", seed, short, got.Scope, want, show(spec))
				}
			}
		}
	}
}
