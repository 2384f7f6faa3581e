package registry

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A TargetKind says what sort of thing a Target names.
type TargetKind uint8

// The kinds of Target. The zero kind is none.
const (
	KindSite TargetKind = iota + 1
	KindService
	KindEndpoint
)

var kindNames = [...]string{KindSite: "site", KindService: "service", KindEndpoint: "endpoint"}

// String returns "site", "service" or "endpoint", and "" for anything else.
func (k TargetKind) String() string {
	if int(k) >= len(kindNames) {
		return ""
	}
	return kindNames[k]
}

// A Target names what an Override is about: a site with all that runs there, a service, or one endpoint. Its text form is
// "site/us-east", "service/web" or "endpoint/web/us-east-1".
type Target struct {
	Kind TargetKind
	Name string // of an endpoint the full name, "service/endpoint"
}

// String returns the text form.
func (t Target) String() string { return t.Kind.String() + "/" + t.Name }

// ParseTarget reads the text form. It does not look whether the target exists; Registry.Resolve does, and takes short names.
func ParseTarget(s string) (Target, error) {
	kind, name, _ := strings.Cut(s, "/")
	k := slices.Index(kindNames[:], kind)
	if k <= 0 {
		return Target{}, fmt.Errorf("registry: target %.80q: want site/NAME, service/NAME or endpoint/SERVICE/NAME", s)
	}
	t := Target{Kind: TargetKind(k), Name: name}
	return t, t.check()
}

// MarshalText returns the text form, also for use as a JSON string or object key.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), t.check() }

// UnmarshalText is ParseTarget.
func (t *Target) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTarget(string(b))
	return err
}

func (t Target) check() error {
	service, endpoint, full := strings.Cut(t.Name, "/")
	switch {
	case t.Kind.String() == "":
		return fmt.Errorf("registry: target kind %d does not exist", t.Kind)
	case service == "" || full && endpoint == "":
		return fmt.Errorf("registry: target %.80q has no name", t.String())
	case t.Kind == KindEndpoint && !full:
		return fmt.Errorf("registry: target %.80q: want endpoint/SERVICE/NAME", t.String())
	case t.Kind != KindEndpoint && full:
		return fmt.Errorf("registry: target %.80q: a %s's name has no slash", t.String(), t.Kind)
	case len(t.Name) > 2*MaxName+1:
		return fmt.Errorf("registry: target %.80q… is longer than %d bytes", t.String(), 2*MaxName+1)
	}
	return nil
}

// Limits of overrides.
const (
	MaxOverrides = 10_000
	MaxReason    = 1024 // bytes
	MaxBy        = 256  // bytes
)

// An Override is an operator's word on a site, a service or an endpoint. It beats what probes find out.
type Override struct {
	Target Target       `json:"target"`
	State  policy.State `json:"state"`           // Drained (take out of answers), Down or Up
	Since  time.Time    `json:"since"`           // default: now
	Until  time.Time    `json:"until,omitzero"`  // when it ends by itself; zero: never
	Reason string       `json:"reason,omitzero"` // for people
	By     string       `json:"by,omitzero"`     // who, for people
}

func (o Override) check(now time.Time) error {
	switch {
	case o.State != policy.Up && o.State != policy.Down && o.State != policy.Drained:
		return fmt.Errorf("registry: override of %s: state must be up, down or drained, not %v", o.Target, o.State)
	case !o.Until.IsZero() && !o.Until.After(now):
		return fmt.Errorf("registry: override of %s: it would have ended at %s", o.Target, o.Until.Format(time.RFC3339))
	case len(o.Reason) > MaxReason:
		return fmt.Errorf("registry: override of %s: the reason is longer than %d bytes", o.Target, MaxReason)
	case len(o.By) > MaxBy:
		return fmt.Errorf("registry: override of %s: the author is longer than %d bytes", o.Target, MaxBy)
	}
	return o.Target.check()
}

// why returns the Override in a few words, for the log.
func (o Override) why() string {
	s := "override of " + o.Target.String()
	if o.Reason != "" {
		s += ": " + o.Reason
	}
	return s
}

// A standing is an Override in force. Its deadline carries the monotonic clock, so that a step of the wall clock neither ends nor
// prolongs it; Until is what people see and the store keeps.
type standing struct {
	Override
	deadline time.Time // zero: never
	ttl      uint32    // bounds answers, in seconds; 0: not. Run keeps it up to date
}

func (o Override) standing(now time.Time) standing {
	s := standing{Override: o}
	if !o.Until.IsZero() {
		s.deadline = now.Add(o.Until.Sub(now))
	}
	s.ttl, _ = s.bound(now)
	return s
}

// bound returns how many seconds an answer may be kept that the Override has a part in, and when that changes; zero: not before it
// ends. An answer with an endpoint that is forced up must not outlive that. The bound is the largest power of two that is less than
// the time left: it changes a few times only, however long the Override lasts, as each change makes a Snapshot. The last second of
// an Override is cut no further. What comes back late, when a drain has ended, does no harm and has no bound.
func (o standing) bound(now time.Time) (ttl uint32, changes time.Time) {
	if o.deadline.IsZero() || o.State == policy.Drained {
		return 0, time.Time{}
	}
	const most = 1 << 30 // seconds; the TTL of a record has 31 bits (RFC 2181, 8)
	left := min((o.deadline.Sub(now)-1)/time.Second, most)
	if left <= 1 {
		return 1, time.Time{}
	}
	ttl = 1 << (bits.Len64(uint64(left)) - 1)
	return ttl, o.deadline.Add(-time.Duration(ttl) * time.Second)
}

// Force puts an Override in force, replacing one of the same Target. It is stored before it takes effect; if the store fails,
// nothing changes and the error is an ErrStore. It is an ErrFull if there are too many, or the store has no room. The Target need not exist (yet): an Override waits for it, and shows as matching
// nothing until then. Several Overrides that match one endpoint combine by policy.Verdict.Worse.
func (r *Registry) Force(o Override) error {
	now := r.now()
	if o.Since.IsZero() {
		o.Since = now
	}
	if err := o.check(now); err != nil {
		return err
	}
	o.Since, o.Until = o.Since.Round(0).UTC(), o.Until.Round(0).UTC() // the wall clock alone, as the store will give it back

	r.storing.Lock()
	defer r.storing.Unlock()
	if err := r.roomFor(o.Target); err != nil {
		return err
	}
	if err := r.store.SaveOverride(o); err != nil {
		r.countSaveError()
		return fmt.Errorf("registry: override of %s not set: %w: %w", o.Target, ErrStore, err)
	}
	r.mu.Lock()
	r.overrides[o.Target] = o.standing(now)
	changes := r.reassess()
	r.mu.Unlock()
	tick(r.expiry)
	r.log.Info("override set", "target", o.Target, "state", o.State, "until", o.Until, "reason", o.Reason, "by", o.By, "endpoints", r.Matching(o.Target))
	r.logTransitions(changes)
	return nil
}

// Unforce ends the Override of a Target. It is deleted from the store before that takes effect; if the store fails, nothing
// changes and the error is an ErrStore. The error is an ErrNoOverride if there is none.
func (r *Registry) Unforce(t Target) error {
	r.storing.Lock()
	defer r.storing.Unlock()
	r.mu.Lock()
	_, ok := r.overrides[t]
	r.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w of %s", ErrNoOverride, t)
	}
	if err := r.store.DeleteOverride(t); err != nil {
		r.countSaveError()
		return fmt.Errorf("registry: override of %s not ended: %w: %w", t, ErrStore, err)
	}
	r.mu.Lock()
	delete(r.overrides, t)
	changes := r.reassess()
	r.mu.Unlock()
	tick(r.expiry)
	r.log.Info("override ended", "target", t)
	r.logTransitions(changes)
	return nil
}

// Adopt puts in force, or ends if o is nil, what was decided elsewhere about a Target. save keeps it, in place of the Store; if it fails nothing
// changes, and its error is returned. To end what there is not is no error.
func (r *Registry) Adopt(t Target, o *Override, save func() error) error {
	now := r.now()
	if o != nil {
		if err := o.check(now); err != nil {
			return err
		}
	}
	r.storing.Lock()
	defer r.storing.Unlock()
	if o != nil {
		if err := r.roomFor(t); err != nil {
			return err
		}
	}
	if err := save(); err != nil {
		return err
	}
	r.mu.Lock()
	if o != nil {
		r.overrides[t] = o.standing(now)
	} else {
		delete(r.overrides, t)
	}
	changes := r.reassess()
	r.mu.Unlock()
	tick(r.expiry)
	r.logTransitions(changes)
	return nil
}

// Overrides returns what is in force, sorted by text form.
func (r *Registry) Overrides() []Override {
	r.mu.Lock()
	out := make([]Override, 0, len(r.overrides))
	for _, o := range r.overrides {
		out = append(out, o.Override)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b Override) int { return strings.Compare(a.Target.String(), b.Target.String()) })
	return out
}

func (r *Registry) roomFor(t Target) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.overrides[t]; !ok && len(r.overrides) >= MaxOverrides {
		return fmt.Errorf("registry: %w: there are %d overrides, the most there may be; end some first", ErrFull, MaxOverrides)
	}
	return nil
}

// forced returns what the Overrides say of an endpoint, and the one that decides; ok is false if none matches.
func (r *Registry) forced(e *policy.Endpoint, p *policy.Plan) (v policy.Verdict, by Override, ok bool) {
	if len(r.overrides) == 0 {
		return v, by, false
	}
	targets := [...]Target{
		{KindEndpoint, e.Name},
		{KindService, p.ServiceName(e.Service)},
		{KindSite, p.SiteName(e.Site)},
	}
	for _, t := range targets {
		o, found := r.overrides[t]
		if !found {
			continue
		}
		if !ok || o.State > v.State {
			by = o.Override
		}
		v, ok = v.Worse(policy.Verdict{State: o.State, Forced: true, TTL: o.ttl}), true
	}
	return v, by, ok
}

// exists says whether a Plan has the Target.
func (t Target) exists(p *policy.Plan) (ok bool) {
	switch t.Kind {
	case KindSite:
		_, ok = p.SiteByName(t.Name)
	case KindService:
		_, ok = p.ServiceByName(t.Name)
	case KindEndpoint:
		_, ok = p.EndpointByName(t.Name)
	}
	return ok
}

// count returns how many endpoints of a Plan the Target covers, given how many there are at each site.
func (t Target) count(p *policy.Plan, atSite []int) int {
	switch t.Kind {
	case KindSite:
		if id, ok := p.SiteByName(t.Name); ok {
			return atSite[id]
		}
	case KindService:
		if id, ok := p.ServiceByName(t.Name); ok {
			return len(p.Endpoints(id))
		}
	case KindEndpoint:
		if t.exists(p) {
			return 1
		}
	}
	return 0
}
