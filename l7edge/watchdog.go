package l7edge

import (
	"sync"
	"time"
)

// A watchdog barks when nothing has happened for a period. Its methods may be called concurrently; once stop has returned, bark
// neither runs nor will run. It barks at most once.
type watchdog struct {
	bark func()

	mu       sync.Mutex
	timer    *time.Timer
	period   time.Duration
	deadline time.Time
	done     bool
}

// watch starts the watchdog, or gives it another period that starts now.
func (d *watchdog) watch(period time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return
	}
	d.period, d.deadline = period, time.Now().Add(period)
	if d.timer == nil {
		d.timer = time.AfterFunc(period, d.expired)
	} else {
		d.timer.Reset(period)
	}
}

// touch says that something happened. The timer is left alone: it looks at the deadline when it expires.
func (d *watchdog) touch() {
	now := time.Now()
	d.mu.Lock()
	d.deadline = now.Add(d.period)
	d.mu.Unlock()
}

func (d *watchdog) expired() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return
	}
	if left := time.Until(d.deadline); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.done = true
	d.bark()
}

// stop ends the watchdog. If it is barking, stop waits until it has.
func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = true
	if d.timer != nil {
		d.timer.Stop()
	}
}
