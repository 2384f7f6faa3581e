// Package admin is the operator's side of a running Meridian: an HTTP API in JSON, its health and readiness endpoints, its
// metrics, and the Client that the command line uses to speak with it.
//
// The API listens on loopback unless told otherwise. GET never changes anything; POST, PUT and DELETE do, and are refused when a
// browser sends them from another origin or under a foreign Host name. Bodies, headers, connections and times are bounded.
package admin
