package l7edge

// A fault is a reason for which the edge answers itself, or gives a request up. The zero fault is none.
type fault uint8

const (
	noFault fault = iota
	faultBadPath
	faultBadBody
	faultBadMethod
	faultBadHost
	faultBadLength
	faultUnfit
	faultMethod
	faultHeaders
	faultLoop
	faultNoRoute
	faultNoEndpoint
	faultOverload
	faultRefused
	faultUnreachable
	faultConnectTimeout
	faultBroken
	faultUpgrade
	faultTunnel
	faultTimeout
	faultSlowClient
	faultIdle
	faultClientGone
	faultDrained
	faultPanic
	numFaults

	faultBridge fault = 255 // none: the request is to be carried by net/http
)

// A faultInfo is what a client and an operator get to see of a fault.
type faultInfo struct {
	word   string // in metrics and the access record
	status int    // of HTTP (RFC 9110 15)
	grpc   int    // the status a gRPC client gets, as gRPC maps HTTP statuses, but DEADLINE_EXCEEDED for a timeout
	proxy  string // error type of Proxy-Status (RFC 9209 2.3); "": the fault is the client's, and not one of proxying
	text   string // body, one line
}

// faults is indexed by fault.
var faults = [numFaults]faultInfo{
	noFault:             {word: "none", status: 200},
	faultBadPath:        {"bad_path", 400, 13, "http_request_error", "bad request: the path is malformed or climbs above the root"},
	faultBadBody:        {"bad_body", 400, 13, "http_request_error", "bad request: the body is malformed or incomplete"},
	faultBadMethod:      {"bad_method", 400, 13, "http_request_error", "bad request: the method is malformed"},
	faultBadHost:        {"bad_host", 400, 13, "http_request_error", "bad request: the host is not a name or an address, or there are two"},
	faultBadLength:      {"bad_length", 400, 13, "http_request_error", "bad request: the length can be read in two ways"},
	faultUnfit:          {"unfit", 400, 13, "http_request_error", "bad request: it cannot be passed on"},
	faultMethod:         {"method", 405, 12, "http_request_denied", "method not allowed: CONNECT and TRACE are not proxied"},
	faultHeaders:        {"headers", 431, 8, "http_request_error", "request header fields too many"},
	faultLoop:           {"loop", 508, 13, "proxy_loop_detected", "loop detected: the request has been through this proxy several times"},
	faultNoRoute:        {"no_route", 404, 12, "destination_not_found", "not found: no route for this host and path"},
	faultNoEndpoint:     {"no_endpoint", 503, 14, "destination_unavailable", "service unavailable: no endpoint"},
	faultOverload:       {"overload", 503, 14, "connection_limit_reached", "service unavailable: too many requests in flight"},
	faultRefused:        {"refused", 502, 14, "connection_refused", "bad gateway: the endpoint refused the connection"},
	faultUnreachable:    {"unreachable", 502, 14, "destination_ip_unroutable", "bad gateway: the endpoint could not be reached"},
	faultConnectTimeout: {"connect_timeout", 502, 14, "connection_timeout", "bad gateway: connecting to the endpoint took too long"},
	faultBroken:         {"broken", 502, 14, "connection_terminated", "bad gateway: the endpoint broke the connection or sent no valid response"},
	faultUpgrade:        {"upgrade", 502, 14, "http_upgrade_failed", "bad gateway: the endpoint switched to another protocol than asked"},
	faultTunnel:         {"tunnel", 501, 12, "http_request_denied", "not implemented: HTTP/2 is spoken to the endpoints here, which carries no WebSocket"},
	faultTimeout:        {"timeout", 504, 4, "http_response_timeout", "gateway timeout: the endpoint sent no response in time"},
	faultSlowClient:     {"slow_client", 408, 1, "http_request_error", "request timeout: the request did not arrive in time"},
	faultIdle:           {"idle", 504, 4, "connection_read_timeout", "gateway timeout: nothing moved for too long"},
	faultClientGone:     {"client_gone", 499, 1, "", "client closed request"}, // nobody reads it; 499 as nginx has it
	faultDrained:        {"drained", 503, 14, "connection_terminated", "service unavailable: shutting down"},
	faultPanic:          {"panic", 500, 13, "proxy_internal_error", "internal server error"},
}

func (f fault) info() *faultInfo { return &faults[f] }

// String returns the word of metrics and access records.
func (f fault) String() string { return f.info().word }
