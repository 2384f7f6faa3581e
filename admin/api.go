package admin

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A handler answers a request with a value that becomes JSON, or an error that does.
type handler func(r *http.Request) (status int, body any, err error)

// Handler returns the whole API. What GET answers changes nothing; everything that changes something is POST, PUT or DELETE.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))

	for pattern, h := range s.routes() {
		mux.Handle(pattern, h)
	}
	return s.guard(jsonErrors(mux))
}

// routes is everything that answers in JSON, by pattern. docs/API.md describes each.
func (s *Server) routes() map[string]handler {
	routes := map[string]handler{
		"GET /v1/status":                   s.getStatus,
		"GET /v1/services":                 s.getServices,
		"GET /v1/services/{service}":       s.getService,
		"GET /v1/health":                   s.getHealth,
		"GET /v1/probers":                  s.getProbers,
		"GET /v1/events":                   s.getEvents,
		"GET /v1/zones":                    s.getZones,
		"GET /v1/explain":                  s.getExplain,
		"GET /v1/resolve":                  s.getResolve,
		"GET /v1/demand":                   s.getDemand,
		"GET /v1/answers":                  s.getAnswers,
		"POST /v1/replay":                  s.postReplay,
		"GET /v1/overrides":                s.getOverrides,
		"PUT /v1/overrides/{target...}":    s.putOverride,
		"DELETE /v1/overrides/{target...}": s.deleteOverride,
		"POST /v1/reload":                  s.postReload,
		"POST /v1/plan":                    s.postPlan,
		"POST /v1/apply":                   s.postApply,
		"GET /v1/generations":              s.getGenerations,
		"POST /v1/rollback":                s.postRollback,
	}
	if s.Embedded != nil {
		routes["GET /v1/services/{service}/endpoints"] = s.getRegistrations
		routes["GET /v1/services/{service}/endpoints/{name}"] = s.getRegistration
		routes["PUT /v1/services/{service}/endpoints/{name}"] = s.putRegistration
		routes["DELETE /v1/services/{service}/endpoints/{name}"] = s.deleteRegistration
		routes["PUT /v1/services/{service}/endpoints/{name}/heartbeat"] = s.putHeartbeat
	}
	if s.Confirm != nil {
		routes["POST /v1/sources/{source}/confirm"] = s.postConfirm
	}
	if s.Demo != nil {
		routes["GET /v1/demo/backends"] = s.getBackends
		routes["POST /v1/demo/backends/{name}/stop"] = s.switchBackend(false)
		routes["POST /v1/demo/backends/{name}/start"] = s.switchBackend(true)
	}
	return routes
}

// ServeHTTP runs the handler and writes what it returns.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := checkBody(r); err != nil {
		w.Header().Set("Accept", "application/json") // RFC 9110 section 15.5.16
		writeError(w, err)
		return
	}
	status, body, err := h(r)
	switch {
	case err != nil:
		writeError(w, err)
	case status == http.StatusNoContent:
		w.WriteHeader(status)
	default:
		writeJSON(w, status, body)
	}
}

// jsonErrors lets "no such path" and "no such method" be said in JSON like everything else.
func jsonErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		plain := headerOnly{header: http.Header{}}
		h.ServeHTTP(&plain, r)
		if plain.status != http.StatusMethodNotAllowed {
			writeError(w, notFound("no such path: %.200s", r.URL.Path))
			return
		}
		allow := plain.header.Get("Allow")
		w.Header().Set("Allow", allow)
		writeError(w, &Error{Status: plain.status, Message: fmt.Sprintf("%s is not possible here; what is: %s", r.Method, allow)})
	})
}

// A headerOnly is a ResponseWriter that keeps status and header and drops the body.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(b []byte) (int, error) { return len(b), nil }

// parameters returns the parameters of a request. One that does not exist is an error, as a misspelt field of a body is.
func parameters(r *http.Request, exist ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the parameters cannot be read: %v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(exist, key) {
			return nil, badRequest("parameter %.80q does not exist; what does: %s", key, strings.Join(exist, ", "))
		}
	}
	return q, nil
}
