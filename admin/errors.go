package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// An Error is a request that was refused or failed, as the API says it and as the Client returns it. Its JSON form is
// {"error": "...", "candidates": [...], "problems": [...]}.
type Error struct {
	Status     int       `json:"-"` // HTTP status code
	Message    string    `json:"error"`
	Candidates []string  `json:"candidates,omitempty"` // what an ambiguous name could mean, as targets; at most maxCandidates
	Problems   []Problem `json:"problems,omitempty"`   // of a configuration file that was refused
	Applied    *Applied  `json:"applied,omitempty"`    // what came of a change that is not in force
}

// maxCandidates bounds the candidates of an Error: the same short name may be an endpoint's in every service.
const maxCandidates = 100

// Error returns the message, and under it the problems of a configuration file.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, p := range e.Problems {
		b.WriteString("\n" + p.Text)
	}
	return b.String()
}

// BadInput reports whether the request itself was wrong: it would fail again. What is missing (404) or ambiguous (409) is part of that.
func (e *Error) BadInput() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func badRequest(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *Error {
	return &Error{Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}

// asError returns what is told about an error: the errors of the rooms become status codes, and their prefix is left out, for it
// tells the caller nothing.
func asError(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	e := &Error{Status: http.StatusInternalServerError, Message: err.Error()}
	var invalid *embedded.ValidationError
	var resolve *registry.ResolveError
	switch {
	case errors.As(err, &invalid):
		e.Status = http.StatusBadRequest
	case errors.As(err, &resolve):
		e.Status = http.StatusNotFound
		for _, t := range resolve.Candidates[:min(len(resolve.Candidates), maxCandidates)] {
			e.Status = http.StatusConflict
			e.Candidates = append(e.Candidates, t.String())
		}
	case errors.Is(err, embedded.ErrNotFound), errors.Is(err, registry.ErrNoOverride):
		e.Status = http.StatusNotFound
	case errors.Is(err, embedded.ErrFull), errors.Is(err, registry.ErrFull): // before the store's failure, which it may be too
		e.Status = http.StatusInsufficientStorage
	case errors.Is(err, registry.ErrStore):
		e.Status = http.StatusServiceUnavailable
	}
	for _, room := range []string{"registry: ", "embedded: ", "dnsserver: ", "wire: "} {
		e.Message = strings.TrimPrefix(e.Message, room)
	}
	return e
}

// writeJSON writes a value as the whole response.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error": "the response cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // an error here is a client that went away
}

func writeError(w http.ResponseWriter, err error) {
	e := asError(err)
	writeJSON(w, e.Status, e)
}
