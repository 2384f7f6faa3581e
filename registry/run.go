package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// saveEvery is the least time between two saves of health.
const saveEvery = time.Second

// lastSave is how long Run waits for the store when it ends.
const lastSave = 5 * time.Second

// Restore reads overrides and health back from the Store. Call it before the first Apply. Overrides that have ended meanwhile are
// dropped; health comes back without the TTL bound that it had, as nothing is known of the checks to come. On an error nothing is
// restored.
func (r *Registry) Restore() error {
	overrides, err := r.store.LoadOverrides()
	if err != nil {
		return fmt.Errorf("registry: overrides not restored: %w", err)
	}
	health, err := r.store.LoadHealth()
	if err != nil {
		return fmt.Errorf("registry: health not restored: %w", err)
	}
	now := r.now()
	r.mu.Lock()
	for _, o := range overrides {
		if o.check(now) != nil {
			r.expired = append(r.expired, o.Target)
			tick(r.unsaved)
			continue
		}
		r.overrides[o.Target] = o.standing(now)
	}
	for _, h := range health {
		r.endpoints[h.Endpoint] = &endpointState{probed: policy.Verdict{State: h.State}, probedSince: h.Since, gone: now}
	}
	restored := len(r.overrides)
	r.mu.Unlock()
	tick(r.expiry)
	r.log.Info("state restored", "overrides", restored, "overridesEnded", len(overrides)-restored, "endpoints", len(health))
	return nil
}

// Run ends overrides when their time has come, lets the TTL of answers that depend on them shrink before, and saves health: within a
// second of a change, at most once a second, and at the end. It returns when ctx ends, with the error of the last save if that
// failed. A store that hangs holds it up for lastSave; the save under way is then left behind, and is an error too.
func (r *Registry) Run(ctx context.Context) error {
	saved := make(chan error, 1)
	go func() { saved <- r.save(ctx) }() // on its own: a disk that hangs must not hold up the end of a drain
	r.expire(ctx)
	limit := time.NewTimer(lastSave)
	defer limit.Stop()
	select {
	case err := <-saved:
		return err
	case <-limit.C:
		return fmt.Errorf("registry: state not saved: %w: no answer for %v", ErrStore, lastSave)
	}
}

// expire ends overrides at their deadline, and bounds their TTL, until ctx ends.
func (r *Registry) expire(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.expiry:
		case <-timer.C:
		}
		now := r.now()
		if next := r.expireNow(now); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(next.Sub(now))
		}
	}
}

// expireNow ends the overrides whose deadline has passed and updates the TTL bounds of the others. It returns when there is
// something to do again; zero: never.
func (r *Registry) expireNow(now time.Time) (next time.Time) {
	var ended []Override
	var changes []transition
	shrunk := false
	r.mu.Lock()
	for t, o := range r.overrides {
		if o.deadline.IsZero() {
			continue
		}
		if !o.deadline.After(now) {
			delete(r.overrides, t)
			r.expired = append(r.expired, t)
			ended = append(ended, o.Override)
			continue
		}
		ttl, due := o.bound(now)
		if due.IsZero() {
			due = o.deadline
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
		if ttl != o.ttl {
			o.ttl, shrunk = ttl, true
			r.overrides[t] = o
		}
	}
	if len(ended) > 0 || shrunk {
		changes = r.reassess()
	}
	if len(ended) > 0 {
		tick(r.unsaved)
	}
	r.mu.Unlock()
	for _, o := range ended {
		r.log.Info("override expired", "target", o.Target, "state", o.State, "reason", o.Reason, "by", o.By)
	}
	r.logTransitions(changes)
	return next
}

// save writes what is unsaved until ctx ends, and once more then.
func (r *Registry) save(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return r.saveNow()
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return r.saveNow()
		case <-r.unsaved:
		}
		err := r.saveNow()
		switch {
		case err != nil && !failing:
			r.log.Error("state not saved; serving goes on, and it is tried again every second", "error", err)
		case err == nil && failing:
			r.log.Info("state saved again")
		}
		if failing = err != nil; failing {
			tick(r.unsaved)
		}
		pause.Reset(saveEvery)
	}
}

// saveNow writes health if it has changed, and deletes expired overrides from the store.
func (r *Registry) saveNow() error {
	return errors.Join(r.deleteExpired(), r.saveHealth())
}

func (r *Registry) saveHealth() error {
	r.mu.Lock()
	dirty := r.healthDirty
	r.healthDirty = false
	var health []SavedHealth
	if dirty {
		health = make([]SavedHealth, 0, len(r.endpoints))
		for name, st := range r.endpoints {
			if st.probed.State != policy.Unknown {
				health = append(health, SavedHealth{Endpoint: name, State: st.probed.State, Since: st.probedSince.Round(0).UTC()})
			}
		}
	}
	r.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := r.store.SaveHealth(health); err != nil {
		r.mu.Lock()
		r.healthDirty = true
		r.saveErrors++
		r.mu.Unlock()
		return fmt.Errorf("registry: health not saved: %w", err)
	}
	return nil
}

// deleteExpired deletes overrides that have expired from the store, unless they were set anew meanwhile.
func (r *Registry) deleteExpired() error {
	r.storing.Lock()
	defer r.storing.Unlock()
	r.mu.Lock()
	due := slices.DeleteFunc(r.expired, func(t Target) bool { _, anew := r.overrides[t]; return anew })
	r.expired = nil
	r.mu.Unlock()
	for i, t := range due {
		if err := r.store.DeleteOverride(t); err != nil {
			r.mu.Lock()
			r.expired = append(r.expired, due[i:]...)
			r.saveErrors++
			r.mu.Unlock()
			return fmt.Errorf("registry: expired override of %s not deleted: %w", t, err)
		}
	}
	return nil
}

func (r *Registry) countSaveError() {
	r.mu.Lock()
	r.saveErrors++
	r.mu.Unlock()
}
