//go:build !race

package e2e

// buildFlags build the binary under test as it is shipped.
var buildFlags []string
