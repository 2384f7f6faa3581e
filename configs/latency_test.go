package configs

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// showTimes renders a table.
func showTimes(list []policy.LatencySpec) string {
	var rows []string
	for _, l := range list {
		row := l.Prefix.String()
		for _, t := range l.Times {
			row += fmt.Sprintf(" %s=%v", t.Site, t.RTT)
		}
		if l.Best != "" {
			row += " best " + l.Best
		}
		rows = append(rows, row)
	}
	return strings.Join(rows, ", ")
}

// loadTimes reads a configuration of two sites with a table.
func loadTimes(text string) (*Config, error) {
	const main = "site: a\nsites: {a: , b: }\ngeo: {latency: conf/times}\npolicies: {p: [latency]}\n"
	return Load(fstest.MapFS{"etc/m.yaml": {Data: []byte(main)}, "etc/conf/times": {Data: []byte(text)}}, "etc/m.yaml")
}

func TestLatencyFile(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "# nothing\n\n": "",
		"192.0.2.0/24 a=1": "192.0.2.0/24 a=1ms",
		"\ufeff\t192.0.2.0/24\t \tb=.5  a=60000\r\n2001:db8::/32 a=0#b\n 192.0.2.0/25   a=1.0004   # b\n": "192.0.2.0/24 b=500µs a=1m0s, 2001:db8::/32 a=0s, 192.0.2.0/25 a=1.0004ms",
	} {
		c, err := loadTimes(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := showTimes(c.Definition.Policy.Latency); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// Garbage is shown in part, and a file that is too large not at all.
func TestLatencyFileOfGarbage(t *testing.T) {
	_, err := loadTimes("192.0.2.0/24 a=" + strings.Repeat("1", 1<<20) + "\n192.0.2.0/24 " + strings.Repeat("x", 1<<20) + "\n\xff\xfe 1\n")
	if all, ok := err.(*Errors); !ok || all.Total != 3 || len(err.Error()) > 3000 {
		t.Errorf("%T: %.500v", err, err)
	}
	if _, err = loadTimes(strings.Repeat("#", maxLatencyFile+1)); err == nil || !strings.Contains(err.Error(), "has more than 64 MiB") {
		t.Errorf("%.500v", err)
	}
}

func TestMargins(t *testing.T) {
	for text, want := range map[string]policy.Margin{
		"": {Share: 0.1}, ": {within: 0}": {}, ": {within: 5%}": {Share: 0.05}, ": {within: 3ms}": {Time: 3 * time.Millisecond},
		": {within: [3ms, 20%]}": {Share: 0.2, Time: 3 * time.Millisecond}, ": {within: [1s]}": {Time: time.Second},
	} {
		main := "site: a\nsites: {a: }\ngeo: {latency: times}\npolicies: {p: [latency" + text + "]}\n"
		c, err := Load(fstest.MapFS{"m.yaml": {Data: []byte(main)}, "times": {}}, "m.yaml")
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := c.Definition.Policy.Policies[0].Stages[0]; got != (policy.Latency{Within: want}) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// A table that changes is followed, but a network keeps its best site unless another is faster by more than the hysteresis. One with a mistake
// changes nothing.
func TestRereadLatency(t *testing.T) {
	d := newDesk(t)
	main := "dns:\nsites: {eu: , us: }\ngeo: {networks_file: nets, latency: {file: times, hysteresis: 10ms}}\npolicies: {p: [latency]}\n"
	d.put("meridian.yaml", main)
	d.put("times", "192.0.2.0/24 eu=10 us=20\n")
	c := d.read()
	was := c
	for _, step := range []struct{ text, want string }{
		{"192.0.2.0/24 eu=30 us=20\n", "192.0.2.0/24 eu=30ms us=20ms best eu"},
		{"192.0.2.0/24 eu=29 us=20\n2001:db8::/32 us=1\n", "192.0.2.0/24 eu=29ms us=20ms best eu, 2001:db8::/32 us=1ms"},
		{"192.0.2.0/24 eu=31 us=20\n", "192.0.2.0/24 eu=31ms us=20ms"},
		{"192.0.2.0/24 eu=15 us=20\n", "192.0.2.0/24 eu=15ms us=20ms best us"},
	} {
		d.put("times", step.text)
		if c = d.reread(c); showTimes(c.Definition.Policy.Latency) != step.want || c.Compiled.Plan() == was.Compiled.Plan() {
			t.Fatalf("%q: %s, want %s", step.text, showTimes(c.Definition.Policy.Latency), step.want)
		}
	}
	last := showTimes(c.Definition.Policy.Latency)
	d.put("nets", "192.0.2.0/24 us\n") // another file: the table stays, with what was kept
	if c = d.reread(c); showTimes(c.Definition.Policy.Latency) != last {
		t.Errorf("%s, want %s", showTimes(c.Definition.Policy.Latency), last)
	}
	d.put("times", "192.0.2.0/24 eu=1 us=2\n192.0.2.0/24 eu=1\n")
	_, files, err := Reread(c)
	if err == nil || !files.Same(files.Now()) ||
		!strings.Contains(err.Error(), "times:2: geo.latency.file: network 192.0.2.0/24 stands on line 1 already") {
		t.Errorf("%v", err)
	}
}

// FuzzLatencyFile: whatever is in the file, it is a table that compiles, or problems with a place in it.
func FuzzLatencyFile(f *testing.F) {
	for _, text := range []string{"192.0.2.0/24 a=1 b=2.5\n::/0 a=0", "192.0.2.0/24 a=1\n192.0.2.0/24 b=1e3#", "\ufeff10.0.0.0/8 a==", "x",
		"10.0.0.0/8 a=1 a=1", "10.0.0.0/8 =1", "::1/128 a=60000.0001"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := loadTimes(text)
		if err == nil {
			if len(c.Definition.Policy.Latency) > strings.Count(text, "\n")+1 {
				t.Fatal("more networks than lines")
			}
			return
		}
		all, ok := err.(*Errors)
		if c != nil || !ok || len(all.Problems) == 0 {
			t.Fatalf("%v, %T", c != nil, err)
		}
		for _, p := range all.Problems {
			if p.File != "etc/conf/times" || p.Line < 1 || p.Line > strings.Count(text, "\n")+1 || p.Column < 0 || p.Message == "" {
				t.Fatalf("%+v", p)
			}
		}
	})
}
