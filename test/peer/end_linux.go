package peer

import "syscall"

// attributes are those of every process: a group of its own, as some servers fork, and no life after the test's.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
