package simulate

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// An element is one start tag of a document, with the text in it.
type element struct {
	name, text string
	attr       map[string]string
}

// elements reads a document, which has to be well-formed.
func elements(t *testing.T, svg []byte) (list []*element) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	var open []*element
	for {
		token, err := d.Token()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			open, list = append(open, e), append(list, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(token)
			}
		}
	}
}

// texts returns what is written in some class.
func texts(list []*element, class string) (out []string) {
	for _, e := range list {
		if e.name == "text" && strings.HasPrefix(e.attr["class"], class) {
			out = append(out, e.text)
		}
	}
	return out
}

var step = regexp.MustCompile(`([MHV])([-0-9.]+)(?: ([-0-9.]+))?`)

// size returns the area inside a path of horizontal and vertical lines, and fails if it leaves the plot.
func size(t *testing.T, d string) float64 {
	t.Helper()
	var x, y, sum, startX, startY float64
	for i, m := range step.FindAllStringSubmatch(d, -1) {
		nx, ny := x, y
		a, _ := strconv.ParseFloat(m[2], 64)
		switch m[1] {
		case "M":
			nx = a
			ny, _ = strconv.ParseFloat(m[3], 64)
			startX, startY = nx, ny
			x, y = nx, ny
		case "H":
			nx = a
		case "V":
			ny = a
		}
		if nx < plotLeft-0.1 || nx > plotRight+0.1 {
			t.Fatalf("point %d of %s is outside of the plot", i, d)
		}
		sum += x*ny - nx*y
		x, y = nx, ny
	}
	return math.Abs(sum+x*startY-startX*y) / 2
}

// busy is a Series that has all that a chart can show.
func busy(t *testing.T) *Series {
	return play(t, Scenario{
		Title: "Everything at once", Service: "web", Policy: "near", Duration: 20 * time.Minute, Step: 30 * time.Second,
		Capacity: []Capacity{{"eu", 120}, {"ap", 90}},
		Events: []Event{
			{At: 4 * time.Minute, Site: "eu", State: policy.Down}, {At: 4 * time.Minute, Endpoint: "us1", Weight: 0},
			{At: 5 * time.Minute, Site: "us", State: policy.Down}, {At: 10 * time.Minute, Site: "ap", State: policy.Down},
			{At: 14 * time.Minute, Site: "eu", State: policy.Up}, {At: 19 * time.Minute, Site: "us", State: policy.Drained},
		},
	}, append(crowd(100, 80), append(crowd(60, 68), crowd(40, 117)...)...))
}

func TestChart(t *testing.T) {
	s := busy(t)
	svg := Chart(s, BySite)
	if !bytes.Equal(svg, Chart(s, BySite)) {
		t.Error("two charts of one Series differ")
	}
	golden(t, "testdata/chart.svg", svg)
	golden(t, "testdata/chart-endpoints.svg", Chart(s, ByEndpoint))
	list := elements(t, svg)
	for class, want := range map[string]string{
		"title": "[Everything at once]",
		"soft":  "[service web · policy near · 200 clients · 200 queries/s]",
		"key":   "[eu us ap above capacity failing open]",
		"event": "[eu down, us1 weight 0 us down ap down eu up us drained]",
		"axis":  "[time since the start share of queries]",
	} {
		if got := fmt.Sprint(texts(list, class)); got != want {
			t.Errorf("%s: %s, want %s", class, got, want)
		}
	}
	for _, e := range list { // self-contained: nothing from elsewhere, nothing that runs
		if e.name == "script" || e.name == "image" || e.attr["href"] != "" || e.attr["onload"] != "" {
			t.Errorf("a chart has %+v", e)
		}
	}
	if strings.Contains(strings.ReplaceAll(string(svg), "http://www.w3.org/2000/svg", ""), "http") {
		t.Error("a chart names an address")
	}
}

// TestAreas: bands fill the plot without a gap, each as much as its share over time is.
func TestAreas(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		s := play(t, randomScenario(r), append(crowd(20, 80), crowd(10, 117)...))
		for _, by := range []By{BySite, ByEndpoint} {
			want, whole := map[string]float64{}, (plotRight-plotLeft)*plotHeight
			for i, st := range s.Steps {
				shares := st.Sites
				if by {
					shares = st.Endpoints
				}
				for k, share := range shares {
					want[fmt.Sprintf("band s%d", k)] += share * float64(s.end(i)-st.At) / float64(s.Duration) * whole
				}
			}
			got, sum := map[string]float64{}, 0.0
			for _, e := range elements(t, Chart(s, by)) {
				if strings.HasPrefix(e.attr["class"], "band") {
					got[e.attr["class"]] = size(t, e.attr["d"])
					sum += got[e.attr["class"]]
				}
			}
			if math.Abs(sum-whole) > whole/200 {
				t.Errorf("bands fill %.0f of %.0f", sum, whole)
			}
			for class, area := range want {
				if math.Abs(got[class]-area) > whole/200 {
					t.Errorf("%s has %.0f, want %.0f", class, got[class], area)
				}
			}
		}
	}
}

// made is a Series of so many sites and steps, in which all sites have the same.
func made(sites, steps int) *Series {
	s := &Series{Title: "made", Service: "web", Policy: "p", Clients: 1, Queries: 1.5, Duration: int64(steps), Step: 1}
	for i := range sites {
		s.Sites = append(s.Sites, fmt.Sprintf("site-%d", i))
	}
	for i := range steps {
		st := Step{At: int64(i)}
		for range sites {
			st.Sites = append(st.Sites, 1/float64(sites))
		}
		s.Steps = append(s.Steps, st)
	}
	s.peaks(nil)
	return s
}

// TestManySites: the largest keep a band of their own, in their order; the others share one.
func TestManySites(t *testing.T) {
	if got := texts(elements(t, Chart(made(maxBands, 3), BySite)), "key"); len(got) != maxBands || got[maxBands-1] != "site-7" {
		t.Errorf("%q", got)
	}
	s := made(12, 3)
	for i := range s.Steps {
		s.Steps[i].Sites[2], s.Steps[i].Sites[11] = 0, 2./12
	}
	list := elements(t, Chart(s, BySite))
	if got, want := fmt.Sprint(texts(list, "key")), "[site-0 site-1 site-3 site-4 site-5 site-6 site-11 5 others]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := texts(list, "soft")[0], "service web · policy p · 1 client · 1.5 queries/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestManySteps: a chart does not grow with the number of steps.
func TestManySteps(t *testing.T) {
	s := made(2, MaxSteps)
	for i := range s.Steps {
		x := float64(i%10) / 10
		s.Steps[i].Sites[0], s.Steps[i].Sites[1] = x, 1-x
		s.Steps[i].FailedOpen = x
	}
	if n := len(Chart(s, BySite)); n > 200_000 {
		t.Errorf("%d bytes", n)
	}
}

func TestNoAnswer(t *testing.T) {
	s := made(1, 4)
	s.Steps[1].Sites[0], s.Steps[1].Unanswered = 0.25, 0.75
	list := elements(t, Chart(s, BySite))
	if got := fmt.Sprint(texts(list, "key")); got != "[site-0 no answer]" {
		t.Error(got)
	}
	for _, e := range list {
		if e.attr["class"] == "band none" {
			if got, want := size(t, e.attr["d"]), (plotRight-plotLeft)*plotHeight*0.75/4; math.Abs(got-want) > 50 {
				t.Errorf("no answer has %.0f, want %.0f", got, want)
			}
		}
	}
}

// TestNames: whatever things are called, the document stays one.
func TestNames(t *testing.T) {
	s := made(2, 2)
	s.Title = `<script>alert("1 & 2")</script>` + "\x00\x1b\uffff" + strings.Repeat("very long ", 40)
	s.Sites = []string{`a"b`, ""}
	s.Events = []Mark{{0, "x<y " + strings.Repeat("m", 100)}, {1, "&amp;"}}
	list := elements(t, Chart(s, BySite))
	if got := texts(list, "key"); got[0] != `a"b` || got[1] != "no site" {
		t.Errorf("%q", got)
	}
	if got := texts(list, "event"); !strings.HasPrefix(got[0], "x<y mm") || !strings.HasSuffix(got[0], "…") || got[1] != "&amp;" {
		t.Errorf("%q", got)
	}
	if got := texts(list, "title")[0]; !strings.HasPrefix(got, `<script>alert("1 & 2")</script>`) || width(got, 15) > chartWidth-48 {
		t.Errorf("%q", got)
	}
}

// TestLabels: labels do not lie on one another or leave the picture, and where there is no room the line alone stays.
func TestLabels(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		s := made(1, 1000)
		at := int64(0)
		for range r.IntN(60) {
			at += r.Int64N(40)
			if at < 1000 {
				s.Events = append(s.Events, Mark{at, strings.Repeat("event ", 1+r.IntN(12))})
			}
		}
		c := &chart{series: s}
		type box struct{ from, to float64 }
		rows, times := map[int][]box{}, map[int64]bool{}
		for _, m := range s.Events {
			times[m.At] = true
		}
		labels := c.placeLabels()
		if len(labels) != len(times) {
			t.Fatalf("%d labels for %d times", len(labels), len(times))
		}
		for _, l := range labels {
			if l.row < 0 {
				continue
			}
			b := box{l.x, l.x + 5 + width(l.text, 11)}
			if l.left {
				b = box{l.x - 5 - width(l.text, 11), l.x}
			}
			if l.row >= maxRows || b.from < 0 || b.to > chartWidth {
				t.Fatalf("label %+v", l)
			}
			for _, other := range rows[l.row] {
				if b.from < other.to && other.from < b.to {
					t.Fatalf("label %+v lies on another", l)
				}
			}
			rows[l.row] = append(rows[l.row], b)
		}
	}
}

func TestTicks(t *testing.T) {
	for duration, want := range map[int64]int64{1: 1, 9: 1, 10: 2, 60: 10, 600: 120, 1800: 300, 3600: 600, 6 * 3600: 3600, 86400: 3 * 3600,
		7 * 86400: 86400, 60 * 86400: 8 * 86400} {
		if got := tick(duration); got != want {
			t.Errorf("%d: %d, want %d", duration, got, want)
		}
	}
	s := made(1, 3600)
	s.Start, s.Step = 1772409600+9*3600+7*60, 60 // 09:07: labels stand at whole ten minutes
	got := texts(elements(t, Chart(s, BySite)), "tick")
	if want := "[0 % 25 % 50 % 75 % 100 % 09:10 09:20 09:30 09:40 09:50 10:00]"; fmt.Sprint(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestInside: nothing that is written leaves the picture.
func TestInside(t *testing.T) {
	week := made(3, 7*86400/900)
	week.Step, week.Duration, week.Start = 900, 7*86400, 1772409600
	for i := range week.Steps {
		week.Steps[i].At *= 900
	}
	for _, s := range []*Series{busy(t), week, made(40, 2)} {
		for _, e := range elements(t, Chart(s, BySite)) {
			if e.name != "text" || e.attr["transform"] != "" {
				continue
			}
			size := map[string]float64{"title": 15, "soft": 12, "key": 12}[e.attr["class"]]
			if size == 0 {
				size = 11
			}
			x, err := strconv.ParseFloat(e.attr["x"], 64)
			if err != nil {
				t.Fatal(err)
			}
			from := x - map[string]float64{"": 0, "start": 0, "middle": 0.5, "end": 1}[e.attr["text-anchor"]]*width(e.text, size)
			if to := from + width(e.text, size); from < 0 || to > chartWidth {
				t.Errorf("%q is from %.0f to %.0f", e.text, from, to)
			}
		}
	}
}

// TestNotes: shares are written where they stay as they are.
func TestNotes(t *testing.T) {
	s := made(2, 10)
	for i := range s.Steps {
		x := []float64{0.8, 0.8, 0.8, 0.8, 0.8, 0.3, 0.3, 0.3, 0.3, 0.3}[i]
		s.Steps[i].Sites[0], s.Steps[i].Sites[1] = x, 1-x
	}
	if got := fmt.Sprint(texts(elements(t, Chart(s, BySite)), "note")); got != "[80 % 20 % 30 % 70 %]" {
		t.Error(got)
	}
	for i := range s.Steps { // slowly from one to the other: there is nothing to write that would be true of it
		x := float64(i) * 0.04
		s.Steps[i].Sites[0], s.Steps[i].Sites[1] = x, 1-x
	}
	if got := texts(elements(t, Chart(s, BySite)), "note"); len(got) != 0 {
		t.Error(got)
	}
}

func TestGrouped(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 1: "1", 1.5: "1.5", 999: "999", 1000: "1,000", 1234567.4: "1,234,567", 99.96: "100", 0.25: "0.25"} {
		if got := grouped(x); got != want {
			t.Errorf("%v: %q, want %q", x, got, want)
		}
	}
}
