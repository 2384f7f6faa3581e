// Package meridian is the root of the module. It holds no code: the binary is in cmd/meridian, the map of the rest in
// docs/ARCHITECTURE.md, and the test beside this file holds the source to the laws written there.
package meridian
