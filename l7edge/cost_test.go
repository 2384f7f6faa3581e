//go:build !race

package l7edge

// What requests and connections cost in memory. The race detector has costs of its own, and drops from pools at random.

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meridian-gslb/meridian/l7edge/upstream"
)

// A connection that does nothing costs little (25 KiB are the goal, of which this process has the client's side, too).
func TestIdleConnectionsAreSmall(t *testing.T) {
	const conns = 1500
	e := start(t, newWorld(t, service(newH2C(t, 100, says("x")).at), overH2C()), nil)
	var buf bytes.Buffer
	f := newFramed(nopConn{&buf})
	buf.WriteString(http2.ClientPreface)
	f.WriteSettings()
	f.headers(1, true, getOf("/", "user-agent", "test")...)
	hello := bytes.Clone(buf.Bytes())
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := heap()
	for range conns {
		c, err := net.Dial("tcp", e.http)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(hello)
	}
	eventually(t, "all are served", func() bool { return stats(e, "web/b0").Requests == conns && e.carrier.handlers.Load() == 0 })
	each := (heap() - before) / conns
	t.Logf("%d bytes", each)
	if each > 25<<10 {
		t.Errorf("%d bytes for an idle connection", each)
	}
}

// A nopConn is a connection that frames are written to a buffer with.
type nopConn struct{ io.ReadWriter }

func (nopConn) Close() error                     { return nil }
func (nopConn) LocalAddr() net.Addr              { return nil }
func (nopConn) RemoteAddr() net.Addr             { return nil }
func (nopConn) SetDeadline(time.Time) error      { return nil }
func (nopConn) SetReadDeadline(time.Time) error  { return nil }
func (nopConn) SetWriteDeadline(time.Time) error { return nil }

// In steady state a request allocates less than once, sockets included: the other ends here read and write fixed bytes.
func TestRequestsDoNotAllocate(t *testing.T) {
	const rounds, streams = 300, 10
	var served atomic.Int64
	at := listen(t, func(c net.Conn) {
		answers(c, func(id []byte, out []byte) []byte {
			served.Add(1)
			out = append(append(out, 0, 0, 1, 1, 4), id...) // HEADERS: ":status: 200"
			out = append(out, 0x88)
			out = append(append(out, 0, 0, 2, 0, 1), id...)
			return append(out, "ok"...)
		})
	})
	e := start(t, newWorld(t, service(at), overH2C()), nil)
	c, err := net.Dial("tcp", e.http)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	c.Write(append([]byte(http2.ClientPreface), 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0))
	id, in := uint32(1), make([]byte, 64<<10)
	var out []byte
	round := func() {
		out = out[:0]
		for range streams {
			const block = "\x82\x86\x84\x01\x01x" // GET http / of x
			out = append(out, 0, 0, byte(len(block)), 1, 5, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
			out = append(out, block...)
			id += 2
		}
		want := served.Load() + streams
		c.Write(out)
		for ends := 0; ends < streams; {
			n, err := c.Read(in)
			if err != nil {
				t.Fatal(err)
			}
			ends += bytes.Count(in[:n], []byte("ok"))
		}
		if served.Load() != want {
			t.Fatal("answered without the endpoint")
		}
	}
	for range 20 {
		round()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		round()
	}
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / (rounds * streams); each > 1 {
		t.Errorf("%.2f allocations a request", each)
	}
	eventually(t, "all end", func() bool {
		return stats(e, "web/b0") == upstream.Stats{Name: "web/b0", Requests: (rounds + 20) * streams}
	})
}

// answers reads requests without a body and writes what answer appends for each, given the last four bytes of its frame's head.
func answers(c net.Conn, answer func(id, out []byte) []byte) {
	c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
	in, out, have, begun := make([]byte, 64<<10), make([]byte, 0, 64<<10), 0, false
	for {
		n, err := c.Read(in[have:])
		if err != nil {
			return
		}
		have += n
		p := in[:have]
		if !begun {
			if len(p) < len(http2.ClientPreface) {
				continue
			}
			p, begun = p[len(http2.ClientPreface):], true
		}
		for out = out[:0]; len(p) >= 9; {
			size := 9 + int(p[0])<<16 + int(p[1])<<8 + int(p[2])
			if len(p) < size {
				break
			}
			if p[3] == 1 {
				out = answer(p[5:9], out)
			}
			p = p[size:]
		}
		have = copy(in, p)
		c.Write(out)
	}
}
