package simulate

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A label is what happens at one time.
type label struct {
	x    float64
	text string
	row  int  // from 0, the lowest; less than 0: no room
	left bool // of the mark, not right of it
}

// maxRows is how many rows of labels there may be.
const maxRows = 6

// placeLabels gives each time of events a label in the lowest row with room for it.
func (c *chart) placeLabels() []label {
	var labels []label
	var taken [maxRows]float64 // up to where a row is full
	for i := range taken {
		taken[i] = -1
	}
	events := c.series.Events
	for i := 0; i < len(events); {
		l, texts := label{x: c.x(events[i].At), row: -1}, []string(nil)
		for at := events[i].At; i < len(events) && events[i].At == at; i++ {
			texts = append(texts, events[i].Text)
		}
		l.text = fit(strings.Join(texts, ", "), 300, 11)
		from, to := l.x, l.x+10+width(l.text, 11)
		if to > chartWidth-8 {
			l.left, from, to = true, l.x-10-width(l.text, 11), l.x
		}
		for row := range taken {
			if from > taken[row] {
				l.row, taken[row] = row, to
				break
			}
		}
		labels = append(labels, l)
	}
	return labels
}

// marks draws events.
func (c *chart) marks() {
	for _, l := range c.labels { // lines first: what is written is above them
		c.line(`<path class="mark" d="M%s %sV%s"/>`, num(l.x), num(c.top-8-float64(max(0, l.row))*labelHeight-8), num(c.bottom))
	}
	for _, l := range c.labels {
		x, anchor := l.x+5, "start"
		if l.left {
			x, anchor = l.x-5, "end"
		}
		if l.row >= 0 {
			from := x
			if l.left {
				from -= width(l.text, 11)
			}
			y := c.top - 8 - float64(l.row)*labelHeight
			c.line(`<rect class="under" x="%s" y="%s" width="%s" height="14"/>`, num(from-2), num(y-11), num(width(l.text, 11)+4)) // other marks end here
			c.line(`<text class="event" x="%s" y="%s" text-anchor="%s">%s</text>`, num(x), num(y), anchor, escape(l.text))
		}
	}
}

// notes writes shares into the bands: where they stay about as they are, and there is room.
func (c *chart) notes() {
	const steady, minWidth, minHeight = 0.03, 46, 17
	borders := c.borders()
	for i, from := range borders[:len(borders)-1] {
		to := borders[i+1]
		inside := slices.DeleteFunc(slices.Clone(c.columns), func(col column) bool { return c.x(col.from) < from-0.05 || c.x(col.from) >= to-0.05 })
		if to-from < minWidth || len(inside) == 0 {
			continue
		}
		low := 0.0
		for b, band := range c.bands {
			sum, least, most := 0.0, 1.0, 0.0
			for _, col := range inside {
				sum, least, most = sum+col.shares[b], min(least, col.shares[b]), max(most, col.shares[b])
			}
			share := sum / float64(len(inside))
			if most-least < steady && share*plotHeight >= minHeight {
				c.line(`<text class="note n-%s" x="%s" y="%s" text-anchor="middle">%s</text>`, band.class,
					num((from+to)/2), num(c.y(low+share/2)+4), fmt.Sprintf("%.0f %%", 100*share))
			}
			low += share
		}
	}
}

// borders returns where something may change: at marks, and where a share does by a twentieth or more; in order, with the ends of the plot.
func (c *chart) borders() []float64 {
	const jump = 0.05
	borders := []float64{plotLeft, plotRight}
	for _, l := range c.labels {
		borders = append(borders, l.x)
	}
	for i := 1; i < len(c.columns); i++ {
		before, after := c.columns[i-1].shares, c.columns[i].shares
		for b := range c.bands {
			if math.Abs(after[b]-before[b]) >= jump {
				borders = append(borders, c.x(c.columns[i].from))
				break
			}
		}
	}
	slices.Sort(borders)
	return slices.Compact(borders)
}
