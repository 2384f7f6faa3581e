package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	xhpack "golang.org/x/net/http2/hpack"

	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

// A rig is a Conn and its peer, which is x/net's Framer. What happens is written down, a line each: first events, then frames that the
// Conn sends.
type rig struct {
	t testing.TB
	*Conn
	*http2.Framer              // what the peer writes
	in            bytes.Buffer // the same as bytes
	block         bytes.Buffer
	encoder       *xhpack.Encoder
	out           bytes.Buffer // what the peer reads
	peer          *http2.Framer
	at            time.Time
	events        []string
	streams       map[uint32]*Stream
	keep          bool // data is not given back
	err           error
}

func testConfig() Config {
	return Config{MaxStreams: 10, StreamWindow: 1000, ConnWindow: 1 << 17, MaxHeld: 1 << 20, MaxHeaderBytes: 16 << 10}
}

// newRig returns a rig whose Conn is a server, or a client, which both have greeted.
func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, at: time.Unix(1000, 0), streams: make(map[uint32]*Stream)}
	r.Framer = http2.NewFramer(&r.in, nil)
	r.AllowIllegalWrites = true
	r.encoder = xhpack.NewEncoder(&r.block)
	r.peer = http2.NewFramer(nil, &r.out)
	r.peer.ReadMetaHeaders = xhpack.NewDecoder(4096, nil)
	r.Conn = New(cfg, r, r.at)
	if cfg.Client {
		b := r.Take(r)
		if !bytes.HasPrefix(b.B, []byte(Preface)) {
			t.Fatalf("a client begins with %q", b.B)
		}
		r.out.Write(b.B[len(Preface):])
		b.Put()
	} else if !cfg.SawPreface {
		r.in.WriteString(Preface)
	}
	r.WriteSettings()
	r.WriteSettingsAck()
	if got := r.run(); !strings.Contains(got, "SETTINGS ack") || r.err != nil {
		t.Fatalf("greeting: %v %s", r.err, got)
	}
	return r
}

// run gives the Conn what the peer wrote and returns what comes of it.
func (r *rig) run() string {
	r.t.Helper()
	p := bytes.Clone(r.in.Bytes())
	r.in.Reset()
	if r.err == nil {
		r.err = r.Receive(r.at, p)
	}
	return r.frames()
}

// frames returns what has happened.
func (r *rig) frames() string {
	r.t.Helper()
	for {
		b := r.Take(r)
		if b == nil {
			break
		}
		r.out.Write(b.B)
		b.Put()
	}
	lines := r.events
	r.events = nil
	for {
		f, err := r.peer.ReadFrame()
		if errors.Is(err, io.EOF) {
			return strings.Join(lines, "\n")
		}
		if err != nil {
			r.t.Fatalf("the Conn sent what x/net does not read: %v", err)
		}
		lines = append(lines, show(f))
	}
}

func show(f http2.Frame) string {
	id := f.Header().StreamID
	end := ""
	switch f := f.(type) {
	case *http2.DataFrame:
		if f.StreamEnded() {
			end = " end"
		}
		return fmt.Sprintf("DATA %d %d%s", id, len(f.Data()), end)
	case *http2.MetaHeadersFrame:
		if f.StreamEnded() {
			end = " end"
		}
		text := ""
		for _, h := range f.Fields {
			text += fmt.Sprintf(" %s=%s", h.Name, h.Value)
			if h.Sensitive {
				text += "!"
			}
		}
		return fmt.Sprintf("HEADERS %d%s%s", id, text, end)
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", id, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", id, f.Increment)
	case *http2.PingFrame:
		if f.IsAck() {
			return fmt.Sprintf("PING ack %x", f.Data)
		}
		return "PING"
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		return "SETTINGS"
	}
	return f.Header().Type.String()
}

func (r *rig) note(format string, args ...any) {
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

// Accept implements Handler.
func (r *rig) Accept() *Stream { return &Stream{} }

// Header implements Handler.
func (r *rig) Header(s *Stream, id uint32, h *Header) {
	r.streams[id] = s
	what, end := h.Method.Value+" "+h.Path.Value, ""
	if r.cfg.Client {
		what = fmt.Sprint(h.Status)
	}
	if h.End {
		end = " end"
	}
	for _, f := range h.Fields {
		what += " " + f.Name + "=" + f.Value
		if f.Mode == hpack.Never {
			what += "!"
		}
	}
	if h.TooLarge {
		what += " too large"
	}
	r.note("header %d %s%s", id, what, end)
}

// Data implements Handler.
func (r *rig) Data(s *Stream, id uint32, p []byte, end bool) {
	r.note("data %d %d%s", id, len(p), map[bool]string{true: " end"}[end])
	if !r.keep {
		r.Credit(s, id, len(p))
	}
}

// Trailer implements Handler.
func (r *rig) Trailer(_ *Stream, id uint32, fields []hpack.Field) {
	what := ""
	for _, f := range fields {
		what += " " + f.Name + "=" + f.Value
	}
	r.note("trailer %d%s", id, what)
}

// Reset implements Handler.
func (r *rig) Reset(_ *Stream, id uint32, code ErrCode, why Cause) {
	r.note("reset %d %v %s", id, code, [...]string{"by peer", "malformed", "unprocessed", "lost"}[why])
	if why == ByPeer && !r.cfg.Client {
		r.LetGo()
	}
}

// Sent implements Handler.
func (r *rig) Sent(_ *Stream, id uint32, n int, end bool) {
	r.note("sent %d %d%s", id, n, map[bool]string{true: " end"}[end])
}

// Settled implements Handler.
func (r *rig) Settled(streams int) { r.note("settled %d", streams) }

// Leaving implements Handler.
func (r *rig) Leaving(code ErrCode) { r.note("leaving %v", code) }

// fields encodes names and values; a name that begins with "!" is never indexed.
func (r *rig) fields(pairs ...string) []byte {
	r.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		name, never := strings.CutPrefix(pairs[i], "!")
		r.encoder.WriteField(xhpack.HeaderField{Name: name, Value: pairs[i+1], Sensitive: never})
	}
	return bytes.Clone(r.block.Bytes())
}

// header makes the peer send a header.
func (r *rig) header(stream uint32, end bool, pairs ...string) {
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: r.fields(pairs...), EndHeaders: true, EndStream: end})
}

// get makes the peer send a request.
func (r *rig) get(stream uint32, end bool, more ...string) {
	r.header(stream, end, append([]string{":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/"}, more...)...)
}

// request makes a client's Conn open a stream.
func (r *rig) request(method string, end bool) (*Stream, uint32) {
	s := &Stream{}
	id, ok := r.Open(s, []hpack.Field{{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "x"}, {Name: ":path", Value: "/"}}, end)
	if !ok {
		return nil, 0
	}
	r.streams[id] = s
	return s, id
}

// want compares what has happened with lines.
func (r *rig) want(name, got string, lines ...string) {
	r.t.Helper()
	if want := strings.Join(lines, "\n"); got != want {
		r.t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

func status(code string) []hpack.Field { return []hpack.Field{{Name: ":status", Value: code}} }
