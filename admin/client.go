package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meridian-gslb/meridian/demand"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// maxResponse bounds what a Client reads of one response, in bytes.
const maxResponse = 256 << 20

// A Client speaks with the admin API of a running process. Its methods may be called concurrently. An error is an *Error if the
// API answered, else it says what could not be reached.
type Client struct {
	address string
	http    *http.Client
}

// NewClient returns a Client of the API at an address: HOST:PORT, or a port of this machine as ":8053" or "8053". "" means
// DefaultListen.
func NewClient(address string) (*Client, error) {
	address = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	switch {
	case address == "":
		address = DefaultListen
	case isPort(address):
		address = ":" + address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !isPort(port) || strings.ContainsAny(host, "/?#@ ") {
		return nil, fmt.Errorf("admin: %q is not an address: HOST:PORT is expected, such as %s", address, DefaultListen)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return &Client{net.JoinHostPort(host, port), &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{Proxy: nil, DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n != 0
}

// Address returns where the API is.
func (c *Client) Address() string { return c.address }

// Status returns the state of everything.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, nil, &s, "status")
}

// Explain returns what would be answered, and why.
func (c *Client) Explain(ctx context.Context, question Question) (x dnsserver.Explanation, err error) {
	q := url.Values{"name": {question.Name}}
	for key, value := range map[string]string{
		"type": question.Type, "client": question.Client, "what_if": question.WhatIf, "resolver": question.Resolver, "view": question.View, "ecs": question.ECS,
	} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if question.At != 0 {
		q.Set("at", strconv.FormatUint(question.At, 10))
	}
	return x, c.query(ctx, http.MethodGet, nil, &x, q, "explain")
}

// Demand returns who asks for steered names: of one name, or of all if name is ""; the largest entries only if limit is more than 0.
func (c *Client) Demand(ctx context.Context, name string, limit int) (r demand.Report, err error) {
	return r, c.query(ctx, http.MethodGet, nil, &r, firstOf(name, limit), "demand")
}

// Answers returns some of the last steered answers, the newest first: of one name, or of all if name is ""; the first only if limit is more than 0.
func (c *Client) Answers(ctx context.Context, name string, limit int) (list []dnsserver.Record, err error) {
	return list, c.query(ctx, http.MethodGet, nil, &list, firstOf(name, limit), "answers")
}

// firstOf are the parameters of a list.
func firstOf(name string, limit int) url.Values {
	q := url.Values{}
	if name != "" {
		q.Set("name", name)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

// Replay decides a recorded answer again.
func (c *Client) Replay(ctx context.Context, record dnsserver.Record) (r Replayed, err error) {
	return r, c.do(ctx, http.MethodPost, record, &r, "replay")
}

// Resolve returns the target that a person means by a name.
func (c *Client) Resolve(ctx context.Context, name string) (registry.Target, error) {
	var r Resolved
	err := c.query(ctx, http.MethodGet, nil, &r, url.Values{"name": {name}}, "resolve")
	return r.Target, err
}

// Override puts an override in force.
func (c *Client) Override(ctx context.Context, t registry.Target, req OverrideRequest) (o OverrideStatus, err error) {
	return o, c.do(ctx, http.MethodPut, req, &o, append([]string{"overrides"}, strings.Split(t.String(), "/")...)...)
}

// EndOverride ends an override, and returns what else is in force for its endpoints.
func (c *Client) EndOverride(ctx context.Context, t registry.Target) (ended OverrideEnded, err error) {
	return ended, c.do(ctx, http.MethodDelete, nil, &ended, append([]string{"overrides"}, strings.Split(t.String(), "/")...)...)
}

// Overrides returns what is in force.
func (c *Client) Overrides(ctx context.Context) (list []OverrideStatus, err error) {
	return list, c.do(ctx, http.MethodGet, nil, &list, "overrides")
}

// Register registers an endpoint and returns what was stored, and whether it serves.
func (c *Client) Register(ctx context.Context, r embedded.Registration, load float64) (stored Registered, err error) {
	body := struct {
		embedded.Registration
		Load float64 `json:"load,omitempty"`
	}{r, load}
	return stored, c.do(ctx, http.MethodPut, body, &stored, "services", r.Service, "endpoints", r.Name)
}

// Registrations returns what registered for a service.
func (c *Client) Registrations(ctx context.Context, service string) (list []Registered, err error) {
	return list, c.do(ctx, http.MethodGet, nil, &list, "services", service, "endpoints")
}

// Heartbeat renews the lease of an endpoint. load is what it has to do, 1 being all that it can take; nil leaves what was reported last.
func (c *Client) Heartbeat(ctx context.Context, service, name string, load *float64) (r Registered, err error) {
	var body any
	if load != nil {
		body = heartbeatBody{load}
	}
	return r, c.do(ctx, http.MethodPut, body, &r, "services", service, "endpoints", name, "heartbeat")
}

// Deregister removes an endpoint.
func (c *Client) Deregister(ctx context.Context, service, name string) error {
	return c.do(ctx, http.MethodDelete, nil, nil, "services", service, "endpoints", name)
}

// Plan returns what a change would do. If the configuration is refused, the *Error has every problem.
func (c *Client) Plan(ctx context.Context, change Change) (p Plan, err error) {
	return p, c.do(ctx, http.MethodPost, change, &p, "plan")
}

// Apply puts a change in force. If it is not in force then, the *Error has why, and what came of it.
func (c *Client) Apply(ctx context.Context, change Change) (a Applied, err error) {
	return a, c.do(ctx, http.MethodPost, change, &a, "apply")
}

// Generations returns the configurations that are kept, the newest first.
func (c *Client) Generations(ctx context.Context) (list []Generation, err error) {
	return list, c.do(ctx, http.MethodGet, nil, &list, "generations")
}

// Rollback puts a generation in force again; 0 = the one before the one in force.
func (c *Client) Rollback(ctx context.Context, to uint64) (r RolledBack, err error) {
	return r, c.do(ctx, http.MethodPost, Rollback{to}, &r, "rollback")
}

// Reload has the configuration file read again. If it is refused, the *Error has every problem.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	return r, c.do(ctx, http.MethodPost, nil, &r, "reload")
}

// Confirm makes a source believed although it lost much.
func (c *Client) Confirm(ctx context.Context, source string) (done Confirmed, err error) {
	return done, c.do(ctx, http.MethodPost, nil, &done, "sources", source, "confirm")
}

// Events returns what happened after an event, oldest first; after 0 all that is remembered.
func (c *Client) Events(ctx context.Context, after uint64) (list []registry.Event, err error) {
	return list, c.query(ctx, http.MethodGet, nil, &list, url.Values{"after": {strconv.FormatUint(after, 10)}}, "events")
}

// Backends returns the demo backends.
func (c *Client) Backends(ctx context.Context) (list []Backend, err error) {
	return list, c.do(ctx, http.MethodGet, nil, &list, "demo", "backends")
}

// SwitchBackend stops or starts a demo backend.
func (c *Client) SwitchBackend(ctx context.Context, name string, run bool) (b Backend, err error) {
	verb := "stop"
	if run {
		verb = "start"
	}
	return b, c.do(ctx, http.MethodPost, nil, &b, "demo", "backends", name, verb)
}

func (c *Client) do(ctx context.Context, method string, body, result any, path ...string) error {
	return c.query(ctx, method, body, result, nil, path...)
}

// query sends a request to /v1/path… and decodes the response into result, if that is not nil.
func (c *Client) query(ctx context.Context, method string, body, result any, q url.Values, path ...string) error {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("admin: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	for i, p := range path {
		path[i] = url.PathEscape(p)
	}
	u := "http://" + c.address + "/v1/" + strings.Join(path, "/")
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, payload)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("admin: the answer of %s broke off: %w", c.address, err)
	}
	if resp.StatusCode >= 300 {
		return refusal(resp.StatusCode, content, c.address)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(content, result); err != nil {
		return fmt.Errorf("admin: %s does not answer like a Meridian of this version: %w", c.address, err)
	}
	return nil
}

// refusal returns the error that a response with a failing status tells.
func refusal(status int, content []byte, address string) error {
	e := &Error{Status: status}
	if json.Unmarshal(content, e) != nil || e.Message == "" {
		return fmt.Errorf("admin: %s answers %d %s: is it Meridian's admin API?", address, status, http.StatusText(status))
	}
	return e
}

// unreachable says that nobody answered, and what could be done.
func (c *Client) unreachable(err error) error { return &unreachableError{c.address, err} }

// An unreachableError is a request without an answer.
type unreachableError struct {
	address string
	err     error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("no answer from the admin API at %s: %s (is Meridian running? --admin or MERIDIAN_ADMIN names another address)", e.address, e.why())
}

func (e *unreachableError) Unwrap() error { return e.err }

// why says in a few words what the network has to say.
func (e *unreachableError) why() string {
	var unknown *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(e.err, &unknown) && unknown.IsNotFound:
		return fmt.Sprintf("there is no host %q", unknown.Name)
	case errors.Is(e.err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(e.err, syscall.EHOSTUNREACH), errors.Is(e.err, syscall.ENETUNREACH):
		return "the network does not lead there"
	case errors.Is(e.err, io.EOF), errors.Is(e.err, syscall.ECONNRESET):
		return "it closed the connection"
	case errors.As(e.err, &timeout) && timeout.Timeout():
		return "it took too long"
	}
	if u := (*url.Error)(nil); errors.As(e.err, &u) {
		return u.Err.Error()
	}
	return e.err.Error()
}
