package registry

import (
	"errors"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// Errors that say why a change was not made. They are found with errors.Is; the text around them says what and why.
var (
	// ErrNoOverride says that there is no Override to end.
	ErrNoOverride = errors.New("registry: no override")
	// ErrStore says that the Store, or a source's own, failed to write: the change itself was not at fault.
	ErrStore = errors.New("the state store failed")
	// ErrFull says that there are as many Overrides as there may be, or that the Store has no room left.
	ErrFull = errors.New("no room left")
)

// A Store keeps overrides and health across restarts. Each write is durable when it returns nil, and has changed nothing when it
// returns an error. Its methods may be called concurrently.
type Store interface {
	SaveOverride(Override) error // replaces one of the same Target
	DeleteOverride(Target) error // nil if there is none
	LoadOverrides() ([]Override, error)
	SaveHealth([]SavedHealth) error // replaces all that was saved
	LoadHealth() ([]SavedHealth, error)
}

// A SavedHealth is what probes last found out about one endpoint.
type SavedHealth struct {
	Endpoint string       `json:"endpoint"` // full name
	State    policy.State `json:"state"`
	Since    time.Time    `json:"since"` // when it came to be in that state
}

// Nowhere is the Store of a Registry that has none: it keeps nothing.
var Nowhere Store = nowhere{}

type nowhere struct{}

func (nowhere) SaveOverride(Override) error        { return nil }
func (nowhere) DeleteOverride(Target) error        { return nil }
func (nowhere) LoadOverrides() ([]Override, error) { return nil, nil }
func (nowhere) SaveHealth([]SavedHealth) error     { return nil }
func (nowhere) LoadHealth() ([]SavedHealth, error) { return nil, nil }
