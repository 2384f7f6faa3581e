//go:build unix

package l7edge

import (
	"io"
	"syscall"
)

// A wireFD reads and writes the socket of a wire without waiting, and waits without a buffer.
type wireFD struct {
	w *wire

	got     int // of the reading goroutine
	readErr error
	reads   func(fd uintptr) bool

	p        []byte // of the sending goroutine
	sent     int
	writeErr error
	writes   func(fd uintptr) bool
}

func (f *wireFD) init(w *wire) {
	f.w = w
	f.reads, f.writes = f.tryRead, f.tryWrite
}

// read waits for bytes and reads them into the wire's buffer, which it takes from the pool when there are some.
func (f *wireFD) read() (int, error) {
	if err := f.w.raw.Read(f.reads); err != nil {
		return 0, err
	}
	if f.readErr == nil && f.got == 0 {
		return 0, io.EOF
	}
	return f.got, f.readErr
}

func (f *wireFD) tryRead(fd uintptr) (done bool) {
	b := readBufs.Get().(*[readSize]byte)
	for {
		f.got, f.readErr = syscall.Read(int(fd), b[:])
		if f.readErr != syscall.EINTR {
			break
		}
	}
	if f.readErr != nil || f.got == 0 {
		readBufs.Put(b)
		return f.readErr != syscall.EAGAIN
	}
	f.w.buf = b
	return true
}

// write writes what the system takes of p now.
func (f *wireFD) write(p []byte) (int, error) {
	f.p, f.sent, f.writeErr = p, 0, nil
	if err := f.w.raw.Write(f.writes); err != nil {
		return 0, err
	}
	return f.sent, f.writeErr
}

// tryWrite is always done: what is left over is not waited for here.
func (f *wireFD) tryWrite(fd uintptr) (done bool) {
	for {
		n, err := syscall.Write(int(fd), f.p)
		switch err {
		case nil:
			f.sent = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			f.writeErr = err
		}
		return true
	}
}
