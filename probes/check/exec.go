package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An ExecConfig describes a check by a command.
type ExecConfig struct {
	Addr    netip.AddrPort // of the endpoint, for the command's environment; the port may be 0
	Command []string       // program, by its whole path, and arguments
	User    string         // who it runs as, with that user's groups alone; "": as this process, which must not be root
}

// NewExec returns a Checker that succeeds when the command ends with exit code 0. It runs in / with an environment of PATH,
// MERIDIAN_ADDRESS and MERIDIAN_PORT, without input, in a process group of its own that is killed when the time is up. Of its
// output, the first 200 bytes become the error. It returns an error if there is no such user.
func NewExec(c ExecConfig) (Checker, error) {
	c.Addr = unmap(c.Addr)
	if len(c.Command) == 0 || !strings.HasPrefix(c.Command[0], "/") {
		return nil, errors.New("the command does not begin with the whole path of a program")
	}
	e := execCheck{ExecConfig: c}
	if c.User == "" {
		if syscall.Geteuid() == 0 {
			return nil, errors.New("this process is root, and so would be the command: its user is missing")
		}
		return e, nil
	}
	u, err := user.Lookup(c.User)
	if err != nil {
		return nil, fmt.Errorf("there is no user %q", c.User)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if int(uid) != syscall.Geteuid() {
		e.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return e, nil
}

type execCheck struct {
	ExecConfig
	credential *syscall.Credential
}

func (c execCheck) Check(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"MERIDIAN_ADDRESS=" + c.Addr.Addr().String(), "MERIDIAN_PORT=" + strconv.Itoa(int(c.Addr.Port())),
	}
	var said head
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.credential}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 100 * time.Millisecond // what it started and left behind may hold its output open
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errTimeout{}
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit) && len(said) > 0:
		return fmt.Errorf("%s: %s", exit, strings.TrimSpace(string(said)))
	case errors.As(err, &exit):
		return exit
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return Local(err) // it could not be started at all
	}
	return err
}

// A head keeps the first bytes that are written to it.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	const most = 200
	*h = append(*h, p[:min(len(p), most-len(*h))]...)
	return len(p), nil
}
