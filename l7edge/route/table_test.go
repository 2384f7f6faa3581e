package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

func testPlan(t testing.TB) *policy.Plan {
	t.Helper()
	plan, problems := policy.Compile(policy.Spec{
		Services: []policy.ServiceSpec{{Name: "web"}, {Name: "api"}},
		Policies: []policy.PolicySpec{{Name: "close-by", Stages: []policy.StageSpec{policy.Healthy{}, policy.Weighted{}}}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return plan
}

func compile(t testing.TB, specs ...Spec) *Table {
	t.Helper()
	table, problems := Compile(specs, testPlan(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table
}

// rule is a Spec where only host and path matter.
func rule(host, path string) Spec { return Spec{Host: host, Path: path, Service: "web", Retries: -1} }

func TestMatch(t *testing.T) {
	table := compile(t,
		rule("", "/"), rule("", "/status"), rule("example.com", "/"), rule("example.com", "/api"), rule("example.com", "/api/v2/"),
		rule("*.example.com", "/"), rule("*.eu.example.com", "/api"), rule("www.example.com", "/www"), rule("192.0.2.1", ""),
		rule("::1", "/"), rule("*.xn--bcher-kva.example", "/"), rule("Mixed.Example.ORG.", "/Case"))
	for _, c := range []struct{ host, path, want string }{
		{"example.com", "/", "example.com/"},
		{"example.com", "/apis", "example.com/"},
		{"example.com", "/api", "example.com/api"},
		{"example.com", "/api/", "example.com/api"},
		{"example.com", "/api/v1/x", "example.com/api"},
		{"example.com", "/api/v2", "example.com/api/v2"},
		{"example.com", "/api/v2/x/y", "example.com/api/v2"},
		{"example.com", "/api/v22", "example.com/api"},
		{"EXAMPLE.com:8443", "/api", "example.com/api"},
		{"example.com.", "/api", "example.com/api"},
		{"example.com.:443", "/api", "example.com/api"},
		{"example.com:", "/api", "example.com/api"},
		{"a.example.com", "/api", "*.example.com/"},
		{"a.b.example.com", "/", "*.example.com/"},
		{"a.eu.example.com", "/api/x", "*.eu.example.com/api"},
		{"a.eu.example.com", "/other", "*.example.com/"}, // the longest wildcard whose path matches too
		{"eu.example.com", "/api", "*.example.com/"},
		{"www.example.com", "/www/x", "www.example.com/www"},
		{"www.example.com", "/", "*.example.com/"}, // the exact host has no such path
		{"other.test", "/", "*/"},
		{"other.test", "/status/x", "*/status"},
		{"badexample.com", "/", "*/"},
		{"", "/status", "*/status"},
		{"192.0.2.1:80", "/", "192.0.2.1/"},
		{"[::1]:80", "/", "[::1]/"},
		{"[::1]", "/", "[::1]/"},
		{"x.xn--bcher-kva.example", "/", "*.xn--bcher-kva.example/"},
		{"mixed.example.org", "/Case/a", "mixed.example.org/Case"},
		{"mixed.example.org", "/case/a", "*/"},
		{"example.com", "*", "example.com/"}, // OPTIONS *
		{"example.com", "", "example.com/"},
		{strings.Repeat("a.", 200) + "example.com", "/", "*/"},
		{":80", "/", "*/"},
		{":", "/", "*/"},
		{".", "/", "*/"},
		{"[", "/", "*/"},
		{"[:", "/", "*/"},
	} {
		got, ok := table.Match(c.host, c.path)
		if !ok || got.Name != c.want {
			t.Errorf("Match(%q, %q) = %v, %v; want %s", c.host, c.path, got, ok, c.want)
		}
	}
}

func TestNoMatch(t *testing.T) {
	table := compile(t, rule("example.com", "/a"), rule("*.example.com", "/b"))
	for _, c := range [][2]string{{"example.com", "/"}, {"example.com", "/b"}, {"x.example.com", "/a"}, {"example.org", "/a"}, {"", "/a"}, {"example.com", "*"}} {
		if r, ok := table.Match(c[0], c[1]); ok || r != nil {
			t.Errorf("Match(%q, %q) = %v", c[0], c[1], r)
		}
	}
	var none *Table
	if _, ok := none.Match("example.com", "/"); ok || none.Rules() != nil {
		t.Error("a nil Table has a rule")
	}
	if _, ok := compile(t).Match("example.com", "/"); ok {
		t.Error("an empty Table has a rule")
	}
}

func TestRules(t *testing.T) {
	table := compile(t,
		Spec{Host: "A.example", Service: "api", Retries: -1},
		Spec{Path: "/x/", Service: "web", Policy: "close-by", Retries: 0, Timeout: -1},
		Spec{Path: "/y", Service: "api", Policy: "default", Retries: 5, Timeout: time.Minute})
	plan := testPlan(t)
	api, _ := plan.ServiceByName("api")
	web, _ := plan.ServiceByName("web")
	near, _ := plan.PolicyByName("close-by")
	usual, _ := plan.PolicyByName(policy.DefaultPolicy)
	want := []Rule{
		{Name: "a.example/", Host: "a.example", Path: "/", Service: api, Policy: usual, Retries: 1, Timeout: 15 * time.Second},
		{Name: "*/x", Path: "/x", Service: web, Policy: near},
		{Name: "*/y", Path: "/y", Service: api, Policy: usual, Retries: 5, Timeout: time.Minute},
	}
	if !slices.Equal(table.Rules(), want) {
		t.Errorf("got  %+v\nwant %+v", table.Rules(), want)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		path string
		msg  string
	}{
		{Spec{Host: "https://a.example", Service: "web"}, "routes 0 host", "scheme"},
		{Spec{Host: "a.example/x", Service: "web"}, "routes 0 host", "path"},
		{Spec{Host: "a.example:443", Service: "web"}, "routes 0 host", `port (443); write "a.example"`},
		{Spec{Host: "*", Service: "web"}, "routes 0 host", "leave host out"},
		{Spec{Host: "a.*.example", Service: "web"}, "routes 0 host", "whole first label"},
		{Spec{Host: "*a.example", Service: "web"}, "routes 0 host", "whole first label"},
		{Spec{Host: "*.*.example", Service: "web"}, "routes 0 host", "whole first label"},
		{Spec{Host: "a..example", Service: "web"}, "routes 0 host", "empty label"},
		{Spec{Host: ".example", Service: "web"}, "routes 0 host", "empty label"},
		{Spec{Host: "*.", Service: "web"}, "routes 0 host", "leave host out"},
		{Spec{Host: "-a.example", Service: "web"}, "routes 0 host", "hyphen"},
		{Spec{Host: "a b.example", Service: "web"}, "routes 0 host", "' '"},
		{Spec{Host: "bücher.example", Service: "web"}, "routes 0 host", "xn--"},
		{Spec{Host: "fe80::1%eth0", Service: "web"}, "routes 0 host", "zone"},
		{Spec{Host: strings.Repeat("a", 64) + ".example", Service: "web"}, "routes 0 host", "64 bytes"},
		{Spec{Host: strings.Repeat("abcdefg.", 40) + "example", Service: "web"}, "routes 0 host", "253"},
		{Spec{Path: "api", Service: "web"}, "routes 0 path", "begin with /"},
		{Spec{Path: "/api?x=1", Service: "web"}, "routes 0 path", "plain prefix"},
		{Spec{Path: "/api/*", Service: "web"}, "routes 0 path", "whole segments"},
		{Spec{Path: "/a//b", Service: "web"}, "routes 0 path", `write "/a/b"`},
		{Spec{Path: "/a/../b", Service: "web"}, "routes 0 path", `write "/b"`},
		{Spec{Path: "/../b", Service: "web"}, "routes 0 path", "can never match"},
		{Spec{Path: "/a b", Service: "web"}, "routes 0 path", "can never match"},
		{Spec{Path: "/" + strings.Repeat("a", MaxPath), Service: "web"}, "routes 0 path", "2048"},
		{Spec{Service: "web", Retries: 6}, "routes 0 retries", "between 0 and 5"},
		{Spec{Service: "web", Retries: -2}, "routes 0 retries", "between 0 and 5"},
		{Spec{Service: "web", Timeout: time.Microsecond}, "routes 0 timeout", "between 1ms and 24h"},
		{Spec{Service: "web", Timeout: 25 * time.Hour}, "routes 0 timeout", "between 1ms and 24h"},
		{Spec{Service: "wbe"}, "routes 0 service", `no service "wbe"`},
		{Spec{}, "routes 0 service", "needs a service"},
		{Spec{Service: "web", Policy: "near"}, "routes 0 policy", `no policy "near"`},
	} {
		table, problems := Compile([]Spec{c.spec}, testPlan(t))
		if table != nil || len(problems) != 1 {
			t.Errorf("%+v: %v, %v", c.spec, table, problems)
			continue
		}
		if p := problems[0]; strings.Join(p.Path, " ") != c.path || !strings.Contains(p.Msg, c.msg) {
			t.Errorf("%+v: %v: %s; want %s: … %s …", c.spec, p.Path, p.Msg, c.path, c.msg)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	specs := []Spec{rule("a.example", "/x"), {Host: "b:1", Path: "y", Service: "z", Retries: 9, Timeout: 1}, rule("A.example.", "/x/")}
	_, problems := Compile(specs, testPlan(t))
	var paths []string
	for _, p := range problems {
		paths = append(paths, strings.Join(p.Path[1:], "."))
	}
	if want := []string{"1.host", "1.path", "1.service", "1.retries", "1.timeout", "2"}; !slices.Equal(paths, want) {
		t.Errorf("got problems at %v, want %v", paths, want)
	}
	if msg := problems[5].Msg; !strings.Contains(msg, "route 0") || !strings.Contains(msg, "a.example/x") {
		t.Errorf("duplicate: %s", msg)
	}
	if _, problems = Compile(specs, nil); len(problems) != 5 {
		t.Errorf("without a plan: %v", problems)
	}
}

// naive is what Match means: of all rules that match, the most specific.
func naive(rules []Rule, host, path string) *Rule {
	host, _, _ = strings.Cut(strings.ToLower(host), ":")
	host = strings.TrimSuffix(host, ".")
	var best *Rule
	rank := func(r *Rule) [3]int {
		switch {
		case r.Host == "":
			return [3]int{0, 0, len(r.Path)}
		case r.Host[0] == '*':
			return [3]int{1, len(r.Host), len(r.Path)}
		default:
			return [3]int{2, 0, len(r.Path)}
		}
	}
	for i := range rules {
		r := &rules[i]
		wild, isWild := strings.CutPrefix(r.Host, "*")
		hostOK := r.Host == "" || r.Host == host || isWild && strings.HasSuffix(host, wild) && len(host) > len(wild)
		pathOK := r.Path == "/" || path == r.Path || strings.HasPrefix(path, r.Path+"/")
		if a := rank(r); hostOK && pathOK && (best == nil || slices.Compare(a[:], func() []int { b := rank(best); return b[:] }()) > 0) {
			best = r
		}
	}
	return best
}

func TestMatchAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	host := func() string {
		h := pick("a", "b", "c")
		for range rng.IntN(3) {
			h = pick("a", "b", "c") + "." + h
		}
		return h
	}
	path := func(n int) string {
		p := ""
		for range rng.IntN(n) {
			p += "/" + pick("x", "y", "xy")
		}
		return p + pick("", "/")
	}
	for range 300 {
		seen := map[string]bool{}
		var specs []Spec
		for range 1 + rng.IntN(30) {
			s := rule(pick("", host(), "*."+host()), pick("/", path(4)))
			if key := s.Host + " " + strings.TrimSuffix(s.Path, "/"); !seen[key] {
				seen[key] = true
				specs = append(specs, s)
			}
		}
		table := compile(t, specs...)
		slices.Reverse(specs)
		turned := compile(t, specs...)
		for range 100 {
			h, p := pick("", "A.", "b.")+host()+pick("", ":80"), path(6)
			if p == "" {
				p = "/"
			}
			want := naive(table.Rules(), h, p)
			for _, tab := range []*Table{table, turned} {
				got, ok := tab.Match(h, p)
				if ok != (want != nil) || ok && got.Name != want.Name {
					t.Fatalf("Match(%q, %q) = %v, want %v, of %v", h, p, got, want, table.Rules())
				}
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	table := compile(f, rule("", "/"), rule("*.example.com", "/a"), rule("example.com", "/a/b"), rule("[2001:db8::1]", "/"))
	f.Add("example.com:443", "/a/b/c")
	f.Add("[2001:db8::1]:1", "//")
	f.Add(":::", "*")
	f.Fuzz(func(t *testing.T, host, path string) {
		r, ok := table.Match(host, path)
		if !ok {
			t.Fatalf("Match(%q, %q) misses the rule for everything", host, path)
		}
		if path != "" && path[0] == '/' && r.Path != "/" && path != r.Path && !strings.HasPrefix(path, r.Path+"/") {
			t.Fatalf("Match(%q, %q) = %s", host, path, r.Name)
		}
	})
}

// bigTable has n rules: exact hosts, wildcards and many paths at one host.
func bigTable(t testing.TB, n int) *Table {
	var specs []Spec
	for i := range n {
		switch i % 3 {
		case 0:
			specs = append(specs, rule(fmt.Sprintf("h%d.example.com", i), "/"))
		case 1:
			specs = append(specs, rule(fmt.Sprintf("*.w%d.example.com", i), "/api"))
		default:
			specs = append(specs, rule("api.example.com", fmt.Sprintf("/v1/service%d", i)))
		}
	}
	return compile(t, specs...)
}

func TestMatchAllocates(t *testing.T) {
	table := bigTable(t, 1000)
	for _, c := range benchmarkRequests {
		if n := testing.AllocsPerRun(100, func() { table.Match(c.host, c.path) }); n != 0 {
			t.Errorf("%s: Match allocates %v times", c.name, n)
		}
	}
}

var benchmarkRequests = []struct{ name, host, path string }{
	{"exact", "h300.example.com:443", "/pkg.Service/Method"},
	{"wildcard", "tenant.w301.example.com:443", "/api/x"},
	{"paths", "api.example.com", "/v1/service302/x/y"},
	{"none", "a.b.c.d.e.f.g.h.elsewhere.test", "/a/b/c/d/e/f/g/h"},
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		table := bigTable(b, n)
		for _, c := range benchmarkRequests {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					table.Match(c.host, c.path)
				}
			})
		}
	}
}
