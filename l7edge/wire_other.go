//go:build !unix

package l7edge

// A wireFD reads the socket of a wire. Only Unix lets us read and write without waiting: here a read holds its buffer, and all that is
// written is left to the goroutine that may wait.
type wireFD struct{ w *wire }

func (f *wireFD) init(w *wire) { f.w = w }

func (f *wireFD) read() (int, error) {
	f.w.buf = readBufs.Get().(*[readSize]byte)
	return f.w.tcp.Read(f.w.buf[:])
}

func (f *wireFD) write([]byte) (int, error) { return 0, nil }
