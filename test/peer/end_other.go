//go:build !linux

package peer

import "syscall"

// attributes are those of every process: a group of its own, as some servers fork.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
