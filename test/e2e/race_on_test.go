//go:build race

package e2e

// buildFlags build the binary under test with the race detector when the tests themselves run with it.
var buildFlags = []string{"-race"}
