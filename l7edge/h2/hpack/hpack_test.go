package hpack

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// theirs decodes a block with the peer that we compare with.
func theirs(d *hpack.Decoder, block []byte) (string, error) {
	var fields []Field
	d.SetEmitFunc(func(f hpack.HeaderField) {
		mode := Index
		if f.Sensitive {
			mode = Never
		}
		fields = append(fields, Field{Name: f.Name, Value: f.Value, Mode: mode})
	})
	_, err := d.Write(block)
	if err == nil {
		err = d.Close()
	}
	return lines(fields), err
}

// sensitive shows fields as theirs does: they do not tell what was not indexed.
func sensitive(fields []Field) string {
	fields = slices.Clone(fields)
	for i := range fields {
		if fields[i].Mode == NoIndex {
			fields[i].Mode = Index
		}
	}
	return lines(fields)
}

// Whatever bytes come, we accept what x/net accepts and take it to mean the same, block after block.
func FuzzDecode(f *testing.F) {
	e := NewEncoder()
	var seed []byte
	for _, f := range statics[1:] {
		seed = e.Append(seed, &Field{Name: f.Name, Value: "value"})
	}
	f.Add(seed, 30, 60)
	f.Add([]byte{0x20, 0x3f, 0xe1, 0x1f, 0x82, 0x40, 1, 'a', 1, 'b', 0xbe, 0x10, 1, 'c', 0x81, 0x1f}, 3, 10)
	f.Fuzz(func(t *testing.T, data []byte, i, j int) {
		ours, other := NewDecoder(nil), hpack.NewDecoder(4096, nil)
		other.SetMaxStringLength(1 << 27)
		i = min(max(i, 0), len(data))
		j = min(max(j, i), len(data))
		for _, block := range [][]byte{data[:i], data[i:j], data[j:]} {
			fields, _, err := ours.Decode(nil, block, 1<<20)
			want, otherErr := theirs(other, block)
			if (err != nil) != (otherErr != nil) {
				if err != nil && (err == errLateSize || err == errResize || err == errInteger) {
					return // x/net lets a size update follow others after a field of its block, and integers grow further
				}
				t.Fatalf("%x: %v, x/net: %v", block, err, otherErr)
			}
			if err != nil {
				return
			}
			if got := sensitive(fields); got != want {
				t.Fatalf("%x:\n%sx/net:\n%s", block, got, want)
			}
		}
	})
}

// randomFields are headers as they come: names and values again and again, some new.
func randomFields(r *rand.Rand) []Field {
	fields := make([]Field, r.IntN(12))
	for i := range fields {
		f := &fields[i]
		f.Name = statics[1+r.IntN(61)].Name
		if r.IntN(3) == 0 {
			f.Name = "x-" + strings.Repeat("n", r.IntN(4))
		}
		f.Value = []string{"", "GET", "/", "gzip, deflate", "ü\x00\xff", strings.Repeat("v", r.IntN(300)), strings.Repeat("~", r.IntN(5000))}[r.IntN(7)]
		f.Mode = Mode(r.IntN(3))
	}
	return fields
}

// What we encode comes out of x/net's decoder and of ours as it went in, whatever sizes of tables come in between, and through a chain
// of a decoder and another encoder, as it passes a proxy.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		first, second := NewEncoder(), NewEncoder()
		ours, other, last := NewDecoder(nil), hpack.NewDecoder(4096, nil), NewDecoder(nil)
		for range 30 {
			if r.IntN(5) == 0 {
				first.SetTableSize(uint32(r.IntN(6000)))
			}
			if r.IntN(5) == 0 {
				second.SetTableSize(0)
				second.SetTableSize(uint32(r.IntN(6000)))
			}
			fields := randomFields(r)
			block := first.Begin(nil)
			for _, f := range fields {
				block = first.Append(block, &f)
			}
			got, err := theirs(other, block)
			if want := sensitive(fields); err != nil || got != want {
				t.Fatalf("x/net: %v\n%swant\n%s", err, got, want)
			}
			mine, _, err := ours.Decode(nil, block, 1<<20)
			if err != nil || sensitive(mine) != sensitive(fields) {
				t.Fatalf("%v\n%s", err, lines(mine))
			}
			again := second.Begin(nil)
			for _, f := range mine {
				again = second.Append(again, &f)
			}
			onward, _, err := last.Decode(nil, again, 1<<20)
			if err != nil || sensitive(onward) != sensitive(fields) {
				t.Fatalf("behind the proxy: %v\n%s", err, lines(onward))
			}
			if first.table.size > DefaultTableSize || second.table.size > second.table.max || last.table.size > DefaultTableSize {
				t.Fatal("a table outgrew its limit")
			}
		}
	}
}

// Secrets stay out of tables on the whole way, and what differs from message to message out of ours.
func TestWhatIsNotIndexed(t *testing.T) {
	e := NewEncoder()
	for _, f := range []Field{
		{Name: "cookie", Value: "a=1", Mode: Never}, {Name: ":path", Value: "/x"}, {Name: "authorization", Value: "Basic x"},
		{Name: "traceparent", Value: "00-1"}, {Name: "grpc-timeout", Value: "1S"}, {Name: "content-length", Value: "5"}, {Name: "x-none", Value: "1", Mode: NoIndex},
	} {
		block := e.Append(nil, &f)
		if e.table.count != 0 {
			t.Errorf("%s is in the table", f.Name)
			e = NewEncoder()
		}
		if never := block[0]&0xf0 == 0x10; never != (f.Mode == Never) {
			t.Errorf("%s: %x", f.Name, block)
		}
	}
	if block := e.Append(nil, &Field{Name: ":method", Value: "GET", Mode: Never}); block[0] != 0x12 {
		t.Errorf("never-indexed, but sent as an index: %x", block)
	}
}

// A block that decodes to far more than it holds (HPACK bomb) yields no more than asked for.
func TestDecodeLimit(t *testing.T) {
	block := NewEncoder().Append(nil, &Field{Name: "x", Value: strings.Repeat("v", 4000)})
	block = append(block, bytes.Repeat([]byte{0xbe}, 10_000)...)
	fields, size, err := NewDecoder(nil).Decode(nil, block, 10_000)
	if err != nil || len(fields) != 2 || size != 10_001*4033 {
		t.Errorf("%d fields of %d bytes, %v", len(fields), size, err)
	}
}

func requestFields() []Field {
	return []Field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "www.example.com"},
		{Name: ":path", Value: "/some/path?with=query", Mode: NoIndex}, {Name: "user-agent", Value: "Mozilla/5.0 (X11; Linux x86_64)"},
		{Name: "accept", Value: "text/html,application/xhtml+xml"}, {Name: "accept-encoding", Value: "gzip, deflate, br"},
		{Name: "cookie", Value: "session=0123456789abcdef"}, {Name: "content-length", Value: "1024", Mode: NoIndex}}
}

// relay is the work of a proxy: a block in, its fields, a block out.
func relay() func() {
	client, up := NewEncoder(), NewEncoder()
	d := NewDecoder(nil)
	var in, out []byte
	var fields []Field
	request := requestFields()
	return func() {
		in = in[:0]
		for _, f := range request {
			in = client.Append(in, &f)
		}
		fields, _, _ = d.Decode(fields[:0], in, 1<<16)
		out = up.Begin(out[:0])
		for _, f := range fields {
			out = up.Append(out, &f)
		}
	}
}

func TestRelayDoesNotAllocate(t *testing.T) {
	step := relay()
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRelay(b *testing.B) {
	step := relay()
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
