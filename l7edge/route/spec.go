package route

import "time"

// A Spec is one routing rule as a person wrote it. A rule matches a request when its host and its path both do; of the rules that
// match, the most specific wins: exact host before the longest wildcard ("*.example.com") before no host, and within a host the
// longest path prefix (whole segments).
type Spec struct {
	Host     string        // "" matches every host; "*.x" matches every name below x, at any depth; no scheme, port or path
	Path     string        // prefix, begins with "/"; "" means "/"; a final "/" says nothing
	Service  string        // where requests go
	Policy   string        // how endpoints are chosen; "" means "default"
	Retries  int           // more tries on another endpoint when a connection could not be made, 0..MaxRetries; -1 = the default (1)
	Protocol Protocol      // what is spoken to the endpoints
	Timeout  time.Duration // from the whole request to the response header; 0 = the default (15 s); < 0 = none; else MinTimeout..MaxTimeout
}

// Bounds and defaults of a Spec.
const (
	DefaultRetries = 1
	MaxRetries     = 5
	DefaultTimeout = 15 * time.Second
	MinTimeout     = time.Millisecond
	MaxTimeout     = 24 * time.Hour
	MaxPath        = 2048 // bytes of a rule's path
)
