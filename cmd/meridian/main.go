// Command meridian is a global traffic director: authoritative DNS that steers by health and place, and an edge proxy that
// spreads single requests and HTTP/2 streams. One binary is the server and the tool that speaks with it.
package main

import "os"

// version is what `meridian version` prints; the linker sets it (-X main.version=…).
var version = "dev"

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}
