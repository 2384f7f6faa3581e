package simulate

import "strings"

// x returns where a time is, in seconds since the first step.
func (c *chart) x(at int64) float64 {
	return plotLeft + (plotRight-plotLeft)*float64(at)/float64(c.series.Duration)
}

// y returns where a share is.
func (c *chart) y(share float64) float64 { return c.bottom - plotHeight*min(share, 1) }

// draw draws the bands.
func (c *chart) draw() {
	low := make([]float64, len(c.columns))
	for b, band := range c.bands {
		high := make([]float64, len(c.columns))
		for i, col := range c.columns {
			high[i] = low[i] + col.shares[b]
		}
		if path := c.area(low, high, 0, len(c.columns)); path != "" {
			c.line(`<path class="band %s" d="%s"/>`, band.class, path)
		}
		for i := 0; i < len(c.columns); i++ {
			j := i
			for j < len(c.columns) && c.columns[j].over[b] {
				j++
			}
			if path := c.area(low, high, i, j); j > i && path != "" {
				c.line(`<path fill="url(#hatch)" d="%s"/>`, path)
				i = j
			}
		}
		low = high
	}
}

// area returns the path around what is between low and high in columns i to j-1; "" if that is nothing.
func (c *chart) area(low, high []float64, i, j int) string {
	something := false
	for k := i; k < j; k++ {
		something = something || num(c.y(low[k])) != num(c.y(high[k]))
	}
	if !something {
		return ""
	}
	var b strings.Builder
	at, last := c.x(c.columns[i].from), ""
	b.WriteString("M" + num(at) + " " + num(c.y(low[i])))
	move := func(share float64, to int64) {
		if y := num(c.y(share)); y != last {
			if last != "" {
				b.WriteString("H" + num(at))
			}
			b.WriteString("V" + y)
			last = y
		}
		at = c.x(to)
	}
	for k := i; k < j; k++ {
		move(high[k], c.columns[k].to)
	}
	for k := j - 1; k >= i; k-- {
		if k == j-1 { // the corner at the right
			b.WriteString("H" + num(at) + "V" + num(c.y(low[k])))
			last = num(c.y(low[k]))
		}
		at = c.x(c.columns[k].to)
		move(low[k], c.columns[k].from)
	}
	b.WriteString("Z")
	return b.String()
}

// axes draws the lines behind the bands, and what they stand for.
func (c *chart) axes() {
	for share := 0; share <= 100; share += 25 {
		y := num(c.y(float64(share) / 100))
		c.line(`<path class="grid" d="M%s %sH%s"/><text class="tick" x="%s" y="%s" text-anchor="end">%d %%</text>`,
			num(plotLeft), y, num(plotRight), num(plotLeft-8), num(c.y(float64(share)/100)+4), share)
	}
	below := c.bottom
	if c.failedOpen {
		below += 12
	}
	every := tick(c.series.Duration)
	first := int64(0)
	if s := c.series.Start; s != 0 {
		first = ((every - s%every) + every) % every // on the hour, not an hour after the start
	}
	for at := first; at <= c.series.Duration; at += every {
		x, text := c.x(at), c.series.When(at)
		middle := min(x, chartWidth-8-width(text, 11)/2)
		c.line(`<path class="grid" d="M%s %sv5"/><text class="tick" x="%s" y="%s" text-anchor="middle">%s</text>`,
			num(x), num(below), num(middle), num(below+18), text)
	}
	what := "time since the start"
	if c.series.Start != 0 {
		what = "time of day (UTC)"
	}
	c.line(`<text class="axis" x="%s" y="%s" text-anchor="middle">%s</text>`, num((plotLeft+plotRight)/2), num(below+36), what)
	c.line(`<text class="axis" transform="translate(16 %s) rotate(-90)" text-anchor="middle">share of queries</text>`, num((c.top+c.bottom)/2))
}

// tick returns how many seconds are from one label to the next, so that there are at most ten labels.
func tick(duration int64) int64 {
	const minute, hour, day = 60, 60 * 60, 24 * 60 * 60
	nice := []int64{1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
		hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day}
	for _, t := range nice {
		if duration/t < 10 {
			return t
		}
	}
	days := int64(1)
	for duration/(days*day) >= 10 {
		days *= 2
	}
	return days * day
}

// open draws when decisions fail open, below the bands: the more do, the stronger.
func (c *chart) open() {
	if !c.failedOpen {
		return
	}
	for i := 0; i < len(c.columns); {
		j, share := i+1, num(0.25+0.75*c.columns[i].failedOpen)
		for j < len(c.columns) && num(0.25+0.75*c.columns[j].failedOpen) == share && (c.columns[j].failedOpen > 0) == (c.columns[i].failedOpen > 0) {
			j++
		}
		if c.columns[i].failedOpen > 0 {
			from, to := c.x(c.columns[i].from), c.x(c.columns[j-1].to)
			c.line(`<rect class="open" x="%s" y="%s" width="%s" height="5" rx="2" opacity="%s"/>`, num(from), num(c.bottom+4), num(to-from), share)
		}
		i = j
	}
}
