//go:build !race

package h2

// What a request costs. The race detector has costs of its own, and drops from pools at random.

import (
	"testing"

	"golang.org/x/net/http2"

	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// relay is the work of a proxy between two connections: a request in, a request out, a response back.
func relay(t testing.TB) func() {
	cfg := testConfig()
	cfg.StreamWindow = 1 << 20
	front := newRig(t, cfg)
	cfg.Client = true
	back := newRig(t, cfg)
	front.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	front.WriteWindowUpdate(0, 1<<30)
	front.run()
	front.get(1, true)
	front.run() // the table of its peer is full now
	front.Conn.Reset(front.streams[1], 1, Cancel)
	front.frames()
	q := &quiet{stream: &Stream{}}
	front.handler, back.handler = q, &quiet{}
	upstream := &Stream{}
	request := []hpack.Field{hpack.Known(":method", "GET"), hpack.Known(":scheme", "http"), hpack.Known(":authority", "x"),
		hpack.Known(":path", "/"), hpack.Known("x-forwarded-for", "192.0.2.1")}
	response := []hpack.Field{hpack.Known(":status", "200"), hpack.Known("server", "x")}
	body := make([]byte, 1024)
	id := uint32(1)
	var in []byte
	return func() {
		id += 2
		block := []byte{0x82, 0x87, 0xbe, 0x84}
		in = append(appendHead(in[:0], len(block), frameHeaders, flagEndHeaders|flagEndStream, id), block...)
		if err := front.Receive(front.at, in); err != nil {
			t.Fatal(err)
		}
		up, ok := back.Open(upstream, request, true)
		if !ok {
			t.Fatal("no stream")
		}
		in = append(appendHead(in[:0], 1, frameHeaders, flagEndHeaders, up), 0x88)
		in = append(appendHead(in, len(body), frameData, flagEndStream, up), body...)
		if err := back.Receive(back.at, in); err != nil {
			t.Fatal(err)
		}
		back.Credit(upstream, up, len(body))
		front.Respond(q.stream, id, response, false)
		if _, ended := front.Conn.Data(q.stream, id, body, true); !ended {
			t.Fatal("not passed")
		}
		for _, c := range []*rig{front, back} {
			if b := c.Take(q); b != nil {
				b.Put()
			}
		}
	}
}

// A quiet handler does nothing.
type quiet struct{ stream *Stream }

func (q *quiet) Accept() *Stream                      { return q.stream }
func (*quiet) Header(*Stream, uint32, *Header)        {}
func (*quiet) Data(*Stream, uint32, []byte, bool)     {}
func (*quiet) Trailer(*Stream, uint32, []hpack.Field) {}
func (*quiet) Reset(*Stream, uint32, ErrCode, Cause)  {}
func (*quiet) Sent(*Stream, uint32, int, bool)        {}
func (*quiet) Settled(int)                            {}
func (*quiet) Leaving(ErrCode)                        {}

func TestRelayDoesNotAllocate(t *testing.T) {
	step := relay(t)
	step()
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkRelay(b *testing.B) {
	step := relay(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
