//go:build linux

package flood

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// share is the part of a processor that the server has in TestOverload, so that the rest of a machine of two can send five times what
// it can answer.
const share = 0.1

// TestOverload finds what the server can answer with its share of a processor: clients send as fast as they get responses, and nothing
// is lost. Then it sends five times as much, random names, each from another address, as forgers do, so that rate limits are of no
// use. The server goes on answering: no fewer than 80 % of what it can.
func TestOverload(t *testing.T) {
	s := startServer(t, limited)
	_, alone := duration(t)
	if err := throttle(t, s.pid, share); err != nil {
		if alone {
			t.Fatalf("needs a control group, so root: %v", err)
		}
		t.Skipf("needs a control group: %v", err)
	}
	memory := s.memory(t, "VmRSS")
	capacity := s.underFlood(t, flood{window: 2000}, flood{window: 2000})
	t.Logf("capacity: %.0f/s: %v", capacity.perSecond(), capacity)
	rate := 5 * capacity.perSecond()
	over := s.underFlood(t, flood{rate: rate / 2}, flood{rate: rate / 2})
	sent, goodput := float64(over.sent)/over.took.Seconds()/capacity.perSecond(), over.perSecond()/capacity.perSecond()
	t.Logf("overload, %.1f times the capacity: goodput %.1f %%: %v", sent, 100*goodput, over)
	switch {
	case over.answered == 0:
		t.Error("nothing is answered any more")
	case alone && sent < 4.9:
		t.Errorf("this machine could send only %.1f times the capacity", sent)
	case alone && goodput < 0.8:
		t.Errorf("%.0f answers per second, of %.0f: less than 80 %%", over.perSecond(), capacity.perSecond())
	}
	s.wellAgain(t, memory)
}

// throttle gives a process a share of one processor, in a control group of its own, for the time of the test.
func throttle(t *testing.T, pid int, share float64) error {
	const period = 20_000 // microseconds
	quota := int(share * period)
	err2 := confine(t, pid, "/sys/fs/cgroup", "cpu.max", fmt.Sprintf("%d %d", quota, period))
	if err2 == nil {
		return nil
	}
	err1 := confine(t, pid, "/sys/fs/cgroup/cpu", "cpu.cfs_period_us", strconv.Itoa(period), "cpu.cfs_quota_us", strconv.Itoa(quota))
	if err1 == nil {
		return nil
	}
	return errors.Join(err2, err1)
}

// confine puts a process into a new group below root, with some settings, each a file and what to write to it.
func confine(t *testing.T, pid int, root string, settings ...string) error {
	_ = write(filepath.Join(root, "cgroup.subtree_control"), "+cpu") // of version 2, where it may be missing
	dir := filepath.Join(root, fmt.Sprintf("meridian-flood-%d", pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	leave := func() {
		if procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err == nil && strings.TrimSpace(string(procs)) == strconv.Itoa(pid) {
			_ = write(filepath.Join(root, "cgroup.procs"), strconv.Itoa(pid))
		}
		for range 100 {
			if err := os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(20 * time.Millisecond) // until the process is gone
		}
	}
	for i := 0; i < len(settings); i += 2 {
		if err := write(filepath.Join(dir, settings[i]), settings[i+1]); err != nil {
			leave()
			return err
		}
	}
	if err := write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
		leave()
		return err
	}
	t.Cleanup(leave)
	return nil
}

// write writes to a file that is there: where control groups are not, there is none.
func write(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
