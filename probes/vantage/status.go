package vantage

import (
	"time"

	"github.com/meridian-gslb/meridian/probes/quorum"
)

// Probers returns all probers, this one first, and at which time their moments are counted from.
func (c *Council) Probers() (list []quorum.ProberView, epoch time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.matrix.Probers(), c.epoch
}

// Row returns what is known of one endpoint, and at which time its moments are counted from; false if it is no target.
func (c *Council) Row(endpoint string) (row quorum.RowView, epoch time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row, ok = c.matrix.Row(endpoint, c.now())
	return row, c.epoch, ok
}
