package simulate

import (
	"fmt"
	"slices"
	"strings"
)

// Sizes of a chart, in pixels.
const (
	chartWidth  = 880
	keysLeft    = 24.0
	plotLeft    = 64.0
	plotRight   = chartWidth - 28.0
	plotHeight  = 250.0
	labelHeight = 16.0 // of a row of events, and of the legend
	maxBands    = 8    // more sites than this, and the smallest are drawn as one
	maxColumns  = 800  // more steps than this, and several are drawn as one
)

// Chart draws a Series as an SVG document: the shares of sites, or of endpoints, over time, one above the other, with a mark for each event. It
// needs nothing from elsewhere and is readable before light and dark backgrounds. Equal Series give equal bytes.
func Chart(s *Series, by By) []byte {
	c := &chart{series: s, by: by}
	c.gather()
	c.place()
	c.frame()
	c.legend()
	c.axes()
	c.draw()
	c.notes()
	c.marks()
	c.open()
	c.line(`</svg>`)
	return []byte(c.b.String())
}

// By says what the shares of a chart are of.
type By bool

// What shares can be of.
const (
	BySite     By = false
	ByEndpoint By = true
)

// A chart is an SVG document being written.
type chart struct {
	series  *Series
	by      By
	b       strings.Builder
	columns []column
	bands   []band
	labels  []label

	keys                     []key // of the legend
	top, bottom, height      float64
	legendTop                float64
	failedOpen, overCapacity bool // there is something to show of it
}

// A band is what is drawn of one site or endpoint, or of those that are drawn as one.
type band struct {
	name, class string
	of          []int // positions in Series.Sites or Series.Targets; none: queries without an answer
}

// A column is a time in which all that is drawn stays as it is.
type column struct {
	from, to   int64
	shares     []float64 // by position in bands
	over       []bool    // the band is above its capacity
	failedOpen float64
}

// A key is one entry of the legend.
type key struct {
	class, text string
	x, y        float64
}

// gather decides what is drawn.
func (c *chart) gather() {
	s := c.series
	names := c.names()
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	if len(order) > maxBands {
		total := func(i int) (sum float64) {
			for k := range s.Steps {
				sum += c.shares(&s.Steps[k])[i]
			}
			return sum
		}
		slices.SortStableFunc(order, func(a, b int) int { return compareDown(total(a), total(b)) })
		slices.Sort(order[:maxBands-1]) // those with a band of their own stay in their order
	}
	for n, i := range order {
		if n >= maxBands-1 && len(order) > maxBands {
			c.bands = append(c.bands, band{fmt.Sprintf("%d others", len(order)-n), "rest", order[n:]})
			break
		}
		c.bands = append(c.bands, band{names[i], fmt.Sprintf("s%d", n), order[n : n+1]})
	}
	if slices.ContainsFunc(s.Steps, func(st Step) bool { return st.Unanswered > 0 }) {
		c.bands = append(c.bands, band{"no answer", "none", nil})
	}
	each := (len(s.Steps) + maxColumns - 1) / maxColumns
	for i := 0; i < len(s.Steps); i += each {
		c.columns = append(c.columns, c.column(i, min(i+each, len(s.Steps))))
	}
}

// names returns what sites or endpoints are called.
func (c *chart) names() (names []string) {
	if c.by == ByEndpoint {
		return c.series.Targets
	}
	for _, site := range c.series.Sites {
		names = append(names, SiteName(site))
	}
	return names
}

// shares returns the shares of sites or endpoints.
func (c *chart) shares(st *Step) []float64 {
	if c.by == ByEndpoint {
		return st.Endpoints
	}
	return st.Sites
}

// column returns steps i to j-1 as one: shares are their averages.
func (c *chart) column(i, j int) column {
	s, n := c.series, float64(j-i)
	col := column{from: s.Steps[i].At, to: s.end(j - 1), shares: make([]float64, len(c.bands)), over: make([]bool, len(c.bands))}
	for k := i; k < j; k++ {
		st := &s.Steps[k]
		for b, band := range c.bands {
			if band.of == nil {
				col.shares[b] += st.Unanswered / n
			}
			for _, i := range band.of {
				share := c.shares(st)[i]
				col.shares[b] += share / n
				if c.by == BySite && s.Peaks[i].over(share*s.Queries) {
					col.over[b], c.overCapacity = true, true
				}
			}
		}
		col.failedOpen += st.FailedOpen / n
	}
	c.failedOpen = c.failedOpen || col.failedOpen > 0
	return col
}

func compareDown(a, b float64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// place decides where things are.
func (c *chart) place() {
	x, y := keysLeft, 0.0
	add := func(class, text string) {
		w := 17 + width(text, 12) + 18
		if x > keysLeft && x+w > plotRight+18 {
			x, y = keysLeft, y+labelHeight+2
		}
		c.keys = append(c.keys, key{class, text, x, y})
		x += w
	}
	for _, b := range c.bands {
		add(b.class, b.name)
	}
	if c.overCapacity {
		add("over", "above capacity")
	}
	if c.failedOpen {
		add("open", "failing open")
	}
	c.legendTop = 68
	c.labels = c.placeLabels()
	rows := 0
	for _, l := range c.labels {
		rows = max(rows, l.row+1)
	}
	c.top = c.legendTop + y + 28 + float64(rows)*labelHeight
	c.bottom = c.top + plotHeight
	c.height = c.bottom + 52
	if c.failedOpen {
		c.height += 12
	}
}

// frame begins the document: what all of it shares, the ground, the title.
func (c *chart) frame() {
	s := c.series
	c.line(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%s" viewBox="0 0 %d %s" role="img" aria-labelledby="title about">`,
		chartWidth, num(c.height), chartWidth, num(c.height))
	c.line(`<title id="title">%s</title>`, escape(s.Title))
	c.line(`<desc id="about">%s</desc>`, escape(c.about()))
	c.line(`<style>%s</style>`, style())
	c.line(`<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
		`<rect class="stripe" width="2.2" height="6"/></pattern></defs>`)
	c.line(`<rect class="ground" x="0.5" y="0.5" width="%d" height="%s" rx="8"/>`, chartWidth-1, num(c.height-1))
	c.line(`<text class="title" x="24" y="31">%s</text>`, escape(fit(s.Title, chartWidth-48, 15)))
	c.line(`<text class="soft" x="24" y="50">%s</text>`, escape(fit(c.subtitle(), chartWidth-48, 12)))
}

// subtitle says what was simulated.
func (c *chart) subtitle() string {
	s := c.series
	clients := grouped(float64(s.Clients)) + " clients"
	if s.Clients == 1 {
		clients = "1 client"
	}
	return fmt.Sprintf("service %s · policy %s · %s · %s queries/s", s.Service, s.Policy, clients, grouped(s.Queries))
}

// about is the chart for those who cannot see it.
func (c *chart) about() string {
	var parts []string
	for b, band := range c.bands {
		first, last := c.columns[0].shares[b], c.columns[len(c.columns)-1].shares[b]
		parts = append(parts, fmt.Sprintf("%s from %.0f to %.0f percent", band.name, 100*first, 100*last))
	}
	text := "Share of queries over time: " + strings.Join(parts, ", ") + "."
	for _, m := range c.series.Events {
		text += fmt.Sprintf(" %s: %s.", c.series.When(m.At), m.Text)
	}
	return text
}

func (c *chart) legend() {
	for _, k := range c.keys {
		y := c.legendTop + k.y
		switch k.class {
		case "over":
			c.line(`<rect class="s0" x="%s" y="%s" width="11" height="11" rx="2.5"/><rect x="%[1]s" y="%[2]s" width="11" height="11" rx="2.5" fill="url(#hatch)"/>`,
				num(k.x), num(y))
		case "open":
			c.line(`<rect class="open" x="%s" y="%s" width="11" height="5" rx="2"/>`, num(k.x), num(y+3))
		default:
			c.line(`<rect class="%s" x="%s" y="%s" width="11" height="11" rx="2.5"/>`, k.class, num(k.x), num(y))
		}
		c.line(`<text class="key" x="%s" y="%s">%s</text>`, num(k.x+17), num(y+10), escape(k.text))
	}
}

// line writes a line.
func (c *chart) line(format string, args ...any) {
	c.b.WriteString(fmt.Sprintf(format, args...))
	c.b.WriteByte('\n')
}
