package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/simulate"
)

// The length of a scenario that gives none, and into how many steps it is cut.
const (
	defaultScenario = time.Hour
	defaultSteps    = 60
)

// A Scenario is a scenario file in which everything was checked, with the configuration it is about: what simulate.Run takes.
type Scenario struct {
	simulate.Scenario
	World   simulate.World
	Clients []simulate.Client
}

// ReadScenario reads a scenario file of the operating system, the configuration it is about and the file of clients it may name; name is also
// what problems call it. config is the path of a configuration that counts instead of the one that the scenario names; "" = that one. Relative
// paths in the scenario begin at its directory. Certificates that the configuration names are not looked at.
//
// The error is an *Errors if something is wrong in a file, be it the scenario or the configuration, and the file system's if one of the two
// cannot be read.
func ReadScenario(name, config string) (*Scenario, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("configs: %w", err)
	}
	defer in.Close()
	data, err := read(in, name)
	if err != nil {
		return nil, err
	}
	return parseScenario(name, data, config, below(filepath.Dir(name)))
}

// parseScenario is ReadScenario of a file in its setting.
func parseScenario(name string, data []byte, config string, where setting) (*Scenario, error) {
	r := &scenarioReader{file: newFile(name, data, where)}
	root, syntax := yaml.Parse(data)
	for _, e := range syntax {
		r.errors.add(r.problem(e.Pos, nil, "", e.Msg))
	}
	if root != nil {
		if err := r.read(root, config); err != nil {
			return nil, err
		}
	}
	if err := r.problemsFound(); err != nil {
		return nil, err
	}
	return &r.scenario, nil
}

// A scenarioReader is a scenario file on its way to a Scenario. It is a file whose names are those of a configuration read before.
type scenarioReader struct {
	*file
	scenario  Scenario
	config    *Config
	endpoints names // of the service
}

// read reads all sections, those first that others refer to. The error is that of the configuration.
func (r *scenarioReader) read(root *yaml.Node, config string) error {
	r.root = value{Node: root, at: root.Pos, key: root.Pos}
	if root.Kind == yaml.Null {
		r.errorf(r.root, "the file is empty; it needs at least a service")
		return nil
	}
	sections := map[string]value{}
	r.object(r.root, inScenario, func(key string, v value) { sections[key] = v })
	if ok, err := r.readConfig(sections["config"], config); !ok {
		return err
	}
	for _, s := range []struct {
		key    string
		decode func(v value, given bool)
	}{
		{"title", r.decodeTitle},
		{"service", r.decodeService},
		{"policy", r.decodePolicy},
		{"family", r.decodeFamily},
		{"duration", r.decodeDuration},
		{"step", r.decodeStep},
		{"start", r.decodeStart},
		{"seed", r.decodeSeed},
		{"spread", r.decodeSpread},
		{"capacity", r.decodeCapacity},
		{"events", r.decodeEvents},
		{"clients", r.decodeClients},
	} {
		v, given := sections[s.key]
		s.decode(v, given)
	}
	return nil
}

// readConfig reads the configuration, and reports whether there is one. path is the one that counts instead.
func (r *scenarioReader) readConfig(v value, path string) (ok bool, err error) {
	switch {
	case path != "":
		if r.config, err = readFile(path, false); err != nil {
			return false, err
		}
	case v.Node == nil:
		r.require(r.root, "config", "the configuration to simulate; name it here, or by -c on the command line")
		return false, nil
	default:
		if path = r.filePath(v); path == "" {
			return false, nil
		}
		path = r.setting.resolve(path)
		f, err := r.openData(path) // for the same words as about other files
		if err != nil {
			r.cannotRead(v, path, err)
			return false, nil
		}
		f.Close()
		if r.config, err = readFile(path, false); err != nil {
			return false, err
		}
	}
	d := &r.config.Definition.Policy
	r.scenario.World = simulate.World{Plan: r.config.Compiled.Plan(), Services: d.Services}
	for _, s := range d.Sites {
		r.sites.add(s.Name)
	}
	for _, s := range d.Services {
		r.services.add(s.Name)
	}
	for i := range r.scenario.World.Plan.NumPolicies() {
		r.policies.add(r.scenario.World.Plan.PolicyName(policy.PolicyID(i)))
	}
	return true, nil
}

func (r *scenarioReader) decodeTitle(v value, given bool) {
	if given {
		r.scenario.Title, _ = r.text(v)
	}
}

func (r *scenarioReader) decodeService(v value, given bool) {
	if !given {
		r.require(r.root, "service", "whose clients are simulated; there is "+abridge(r.services.list))
		return
	}
	s, ok := r.text(v)
	if !ok {
		return
	}
	r.reference(v, "service", s, r.services)
	for _, spec := range r.config.Definition.Policy.Services {
		if spec.Name != s {
			continue
		}
		if len(spec.Endpoints) == 0 {
			r.errorf(v, "service %q has no endpoint in the configuration, so there is nothing to simulate", s)
		}
		for _, e := range spec.Endpoints {
			r.endpoints.add(e.Name)
		}
	}
	r.scenario.Service = s
}

func (r *scenarioReader) decodePolicy(v value, given bool) {
	r.scenario.Policy = policy.DefaultPolicy
	if !given {
		return
	}
	if s, ok := r.text(v); ok {
		r.reference(v, "policy", s, r.policies)
		r.scenario.Policy = s
	}
}

func (r *scenarioReader) decodeFamily(v value, given bool) {
	if !given {
		return
	}
	var words []string
	for f := policy.FamilyAny; f <= policy.FamilyServer; f++ {
		words = append(words, f.String())
	}
	word := r.oneOf(v, words...)
	for f := policy.FamilyAny; f <= policy.FamilyServer; f++ {
		if f.String() == word {
			r.scenario.Family = f
		}
	}
	plan := r.scenario.World.Plan
	if id, ok := plan.ServiceByName(r.scenario.Service); ok && len(r.endpoints.list) > 0 && !plan.HasFamily(id, r.scenario.Family) {
		r.errorf(v, "service %q has no endpoint of family %s", r.scenario.Service, word)
	}
}

func (r *scenarioReader) decodeDuration(v value, given bool) {
	r.scenario.Duration = defaultScenario
	if given {
		r.scenario.Duration = r.wholeSeconds(v, time.Second, simulate.MaxDuration)
	}
}

func (r *scenarioReader) decodeStep(v value, given bool) {
	s := &r.scenario
	s.Step = max(time.Second, s.Duration/defaultSteps).Truncate(time.Second)
	if !given {
		return
	}
	s.Step = r.wholeSeconds(v, time.Second, s.Duration)
	if s.Steps() > simulate.MaxSteps {
		r.errorf(v, "%v makes %d steps of %v; there are at most %d", s.Step, s.Steps(), s.Duration, simulate.MaxSteps)
	}
}

// wholeSeconds reads a duration of whole seconds. A wrong one is the shortest.
func (r *scenarioReader) wholeSeconds(v value, lo, hi time.Duration) time.Duration {
	t, ok := r.duration(v, lo, hi)
	if !ok {
		return lo
	}
	if t%time.Second != 0 {
		r.errorf(v, "%s is not a whole number of seconds", v.Value)
		return lo
	}
	return t
}

func (r *scenarioReader) decodeStart(v value, given bool) {
	if !given {
		return
	}
	s, ok := r.text(v)
	if !ok {
		return
	}
	t, err := time.Parse(time.RFC3339, s)
	switch {
	case err != nil:
		r.errorf(v, "a time such as 2026-03-02T08:00:00Z is expected here, not %s", quote(v))
	case t.Unix() <= 0:
		r.errorf(v, "%s is before 1970", s)
	default:
		r.scenario.Start = t.Unix()
	}
}

func (r *scenarioReader) decodeSeed(v value, given bool) {
	r.scenario.Seed = 1
	if given {
		n, _ := r.integer(v, 0, 1<<53)
		r.scenario.Seed = uint64(n)
	}
}

func (r *scenarioReader) decodeSpread(v value, given bool) {
	if given {
		r.scenario.Spread, _ = r.boolean(v)
	}
}

// decodeCapacity reads "capacity": sites and how many queries a second they can take.
func (r *scenarioReader) decodeCapacity(v value, given bool) {
	if !given {
		return
	}
	for _, p := range r.entries(v) {
		c := v.child(p)
		r.reference(value{p.Value, p.Key.Pos, p.Key.Pos, c.path}, "site", p.Key.Value, r.sites)
		if q, ok := r.positive(c, simulate.MaxQueries); ok {
			r.scenario.Capacity = append(r.scenario.Capacity, simulate.Capacity{Site: p.Key.Value, Queries: q})
		}
	}
}

// positive reads a number of more than 0.
func (r *scenarioReader) positive(v value, hi float64) (float64, bool) {
	n, ok := r.number(v, 0, hi)
	if ok && n == 0 {
		r.errorf(v, "more than 0 is expected here")
		return 0, false
	}
	return n, ok
}

// decodeEvents reads "events".
func (r *scenarioReader) decodeEvents(v value, given bool) {
	if !given {
		return
	}
	list := r.list(v, "events")
	if len(list) > simulate.MaxEvents {
		r.errorf(v, "%d events are too many: at most %d", len(list), simulate.MaxEvents)
		return
	}
	for _, v := range list {
		if e, ok := r.event(v); ok {
			r.scenario.Events = append(r.scenario.Events, e)
		}
	}
}

// event reads one event. It is ok if it says what happens to what.
func (r *scenarioReader) event(v value) (e simulate.Event, ok bool) {
	has := map[string]value{}
	r.object(v, inEvent, func(key string, v value) {
		has[key] = v
		switch key {
		case "at":
			if e.At = r.wholeSeconds(v, 0, simulate.MaxDuration); e.At > r.scenario.Last() {
				r.errorf(v, "nothing happens at %s: the last step is at %v", v.Value, r.scenario.Last())
			}
		case "site":
			e.Site = r.site(v)
		case "endpoint":
			if s, ok := r.text(v); ok && len(r.endpoints.list) > 0 {
				r.reference(v, "endpoint", strings.TrimPrefix(s, r.scenario.Service+"/"), r.endpoints)
				e.Endpoint = strings.TrimPrefix(s, r.scenario.Service+"/")
			}
		case "state":
			e.State = map[string]policy.State{"up": policy.Up, "down": policy.Down, "drained": policy.Drained}[r.oneOf(v, "up", "down", "drained")]
		case "load":
			share, _ := r.share(v, 10)
			load := policy.LoadOf(share)
			e.Load = &load
		case "weight":
			n, _ := r.integer(v, 0, policy.MaxWeight)
			e.Weight = uint32(n)
		}
	})
	if v.Kind != yaml.Mapping {
		r.require(v, "at", "when something happens")
		return e, false
	}
	r.require(v, "at", "when it happens, from the start, such as 10m")
	site, endpoint := has["site"].Node != nil, has["endpoint"].Node != nil
	state, load, weight := has["state"].Node != nil, has["load"].Node != nil, has["weight"].Node != nil
	switch {
	case site && endpoint:
		r.errorf(has["endpoint"], "an event is about a site or about an endpoint, not both")
	case !site && !endpoint:
		r.require(v, "site", "what it happens to: a site, or an endpoint")
	case load && (state || weight):
		r.errorf(has["load"], "an event changes a load, a state or a weight, not two of them; write two of the same time")
	case state && weight:
		r.errorf(has["weight"], "an event changes a state or a weight, not both; write two of the same time")
	case site && weight:
		r.errorf(has["weight"], "a site has no weight; its endpoints have")
	case !state && !load && !weight:
		r.require(v, "state", "what happens: up, down or drained, a load, or the weight of an endpoint")
	default:
		return e, true
	}
	return e, false
}
