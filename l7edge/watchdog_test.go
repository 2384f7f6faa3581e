package l7edge

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(d *watchdog)
		want time.Duration // when it barks; 0: never
	}{
		{"nothing happens", func(*watchdog) { time.Sleep(time.Minute) }, 10 * time.Second},
		{"touched in time", func(d *watchdog) {
			for range 5 {
				time.Sleep(9 * time.Second)
				d.touch()
			}
			time.Sleep(time.Minute)
		}, 55 * time.Second},
		{"stopped", func(d *watchdog) {
			time.Sleep(9 * time.Second)
			d.stop()
			d.touch()
			d.watch(time.Second)
			time.Sleep(time.Minute)
		}, 0},
		{"another period", func(d *watchdog) {
			time.Sleep(9 * time.Second)
			d.watch(30 * time.Second)
			time.Sleep(time.Minute)
		}, 39 * time.Second},
		{"a shorter period", func(d *watchdog) {
			time.Sleep(time.Second)
			d.watch(time.Second)
			time.Sleep(time.Minute)
		}, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var barks atomic.Int32
				var at time.Duration
				d := &watchdog{bark: func() { barks.Add(1); at = time.Since(began) }}
				d.watch(10 * time.Second)
				c.act(d)
				synctest.Wait()
				d.stop()
				if c.want == 0 {
					if barks.Load() != 0 {
						t.Errorf("barked after %v", at)
					}
				} else if barks.Load() != 1 || at != c.want {
					t.Errorf("barked %d times, last after %v, want once after %v", barks.Load(), at, c.want)
				}
			})
		})
	}
}

// stop on a watchdog that never watched, as on a request refused at once.
func TestWatchdogUnused(t *testing.T) {
	d := &watchdog{bark: func() { t.Error("barked") }}
	d.touch()
	d.stop()
}
