package dnsserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

var testLimits = Config{}.withDefaults().TCP

// pipe serves one connection within a synctest bubble and returns the client's end, and what is closed when the server's end ends.
func pipe(t *testing.T, ctx context.Context) (client net.Conn, ended <-chan struct{}) {
	t.Helper()
	return pipeTo(t, ctx, newConns(testLimits), testAnswerer(testSnapshot(t, nil), TCP))
}

// pipeTo is pipe with connections and an Answerer of one's own.
func pipeTo(t *testing.T, ctx context.Context, cs *conns, a *Answerer) (client net.Conn, ended <-chan struct{}) {
	t.Helper()
	server, client := net.Pipe()
	answerers := make(chan *Answerer, 1)
	answerers <- a
	c := newConn(server, resolver, &cs.limits, answerers)
	if !cs.admit(c) {
		t.Fatal("not admitted")
	}
	stop := context.AfterFunc(ctx, cs.end)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		defer cs.remove(c)
		c.serve(cs)
	}()
	t.Cleanup(func() { _ = client.Close() })
	return client, done
}

// framed returns messages with their lengths before them.
func framed(t testing.TB, msgs ...*dns.Msg) []byte {
	var out []byte
	for _, m := range msgs {
		msg := pack(t, m)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(msg))), msg...)
	}
	return out
}

// readMsg reads one response.
func readMsg(t testing.TB, r io.Reader) *dns.Msg {
	t.Helper()
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		t.Fatal(err)
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, msg); err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		t.Fatal(err)
	}
	return m
}

func hasEnded(ended <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// TestPipelining: queries sent at once are all answered, in order, and those that came together in one write.
func TestPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := pipe(t, t.Context())
		var msgs []*dns.Msg
		for i := range 5 {
			m := query("mail.gslb.example", dns.TypeA)
			m.Id = uint16(i)
			msgs = append(msgs, m)
		}
		if _, err := client.Write(framed(t, msgs...)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096) // a pipe hands over one write at a time
		n, err := client.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for rest := buf[:n]; len(rest) > 0; got++ {
			size := int(binary.BigEndian.Uint16(rest))
			if id := binary.BigEndian.Uint16(rest[2:]); int(id) != got {
				t.Errorf("answer %d has id %d", got, id)
			}
			rest = rest[2+size:]
		}
		if got != 5 {
			t.Errorf("%d answers in one write", got)
		}
	})
}

// TestAnyParcels: how the bytes of queries are parcelled does not matter.
func TestAnyParcels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := pipe(t, t.Context())
		stream := framed(t, query("mail.gslb.example", dns.TypeA), query("www.gslb.example", dns.TypeA), query("nx.gslb.example", dns.TypeA))
		go func() {
			for i := range stream {
				if _, err := client.Write(stream[i : i+1]); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		for _, want := range []int{0, 0, 3} {
			if r := readMsg(t, client); r.Rcode != want {
				t.Errorf("%v", r)
			}
		}
	})
}

// TestLargeQueryAndAnswers: buffers grow with what arrives, and a flood of answers is sent in parts.
func TestLargeQueryAndAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := pipe(t, t.Context())
		large := query("mail.gslb.example", dns.TypeA, edns, func(m *dns.Msg) {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_PADDING{Padding: make([]byte, 60_000)})
		})
		big := make([]*dns.Msg, 20)
		for i := range big {
			big[i] = query("big.gslb.example", dns.TypeTXT)
		}
		go func() {
			if _, err := client.Write(framed(t, append([]*dns.Msg{large}, big...)...)); err != nil {
				t.Error(err)
			}
		}()
		if r := readMsg(t, client); len(r.Answer) != 1 {
			t.Errorf("%v", r)
		}
		for range big {
			if r := readMsg(t, client); len(r.Answer) != 40 {
				t.Errorf("%v", r)
			}
		}
	})
}

// TestIdleTimeout: a connection without queries ends after TCP.Idle, counted from the last one.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := pipe(t, t.Context())
		for range 3 {
			time.Sleep(testLimits.Idle - time.Second)
			if _, err := client.Write(framed(t, query("mail.gslb.example", dns.TypeA))); err != nil {
				t.Fatal(err)
			}
			readMsg(t, client)
		}
		time.Sleep(testLimits.Idle - time.Second)
		if hasEnded(ended) {
			t.Error("ended too early")
		}
		time.Sleep(2 * time.Second)
		if !hasEnded(ended) {
			t.Error("still open")
		}
	})
}

// TestSlowQuery: whoever sends a byte a second does not hold a connection for longer than TCP.IO.
func TestSlowQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := pipe(t, t.Context())
		begin := time.Now()
		for _, b := range framed(t, query("mail.gslb.example", dns.TypeA)) {
			if _, err := client.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took > testLimits.IO+2*time.Second || !hasEnded(ended) {
			t.Errorf("the client could send for %v", took)
		}
	})
}

// TestSlowReader: whoever does not read the answer does not hold a connection for longer than TCP.IO.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := pipe(t, t.Context())
		if _, err := client.Write(framed(t, query("mail.gslb.example", dns.TypeA))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(testLimits.IO + time.Second)
		if !hasEnded(ended) {
			t.Error("still open")
		}
	})
}

// TestNonsenseEndsConnection: after what is no query, nothing more is read; what was asked before is answered.
func TestNonsenseEndsConnection(t *testing.T) {
	response := query("mail.gslb.example", dns.TypeA)
	response.Response = true
	for name, nonsense := range map[string][]byte{"empty": {0, 0}, "short": {0, 1, 7}, "response": framed(t, response)} {
		synctest.Test(t, func(t *testing.T) {
			client, ended := pipe(t, t.Context())
			go func() {
				_, _ = client.Write(append(framed(t, query("mail.gslb.example", dns.TypeA)), nonsense...))
			}()
			if r := readMsg(t, client); len(r.Answer) != 1 {
				t.Errorf("%s: %v", name, r)
			}
			if !hasEnded(ended) {
				t.Errorf("%s: still open", name)
			}
		})
	}
}

// TestEndGrace: when the end is asked for, queries that are under way are still answered, and then the connection ends.
func TestEndGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client, ended := pipe(t, ctx)
		cancel()
		synctest.Wait()
		if _, err := client.Write(framed(t, query("mail.gslb.example", dns.TypeA))); err != nil {
			t.Fatal(err)
		}
		if r := readMsg(t, client); len(r.Answer) != 1 {
			t.Errorf("%v", r)
		}
		time.Sleep(tcpGrace + time.Millisecond)
		if !hasEnded(ended) {
			t.Error("still open")
		}
	})
}

// TestEndIsOneGrace: a client that takes its answers a byte at a time, and has many more coming, gets what it reads in one tcpGrace
// after the end was asked for; no answer begins a time of its own.
func TestEndIsOneGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client, ended := pipe(t, ctx)
		big := make([]*dns.Msg, 1000)
		for i := range big {
			big[i] = query("big.gslb.example", dns.TypeTXT)
		}
		go func() { _, _ = client.Write(framed(t, big...)) }()
		for range 100 {
			if _, err := client.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
		begin := time.Now()
		for n := 1; n > 0; time.Sleep(time.Millisecond) {
			n, _ = client.Read(make([]byte, 100))
		}
		if took := time.Since(begin); took > tcpGrace+2*time.Millisecond || !hasEnded(ended) {
			t.Errorf("the client was served for %v", took)
		}
	})
}

// TestConnectionLimits: a client has its share, and when all places are taken the connection idle for longest makes room.
func TestConnectionLimits(t *testing.T) {
	limits := TCPConfig{Connections: 3, PerClient: 2, Idle: time.Second, IO: time.Second}
	cs := newConns(limits)
	dial := func(addr string) (*conn, net.Conn) {
		server, client := net.Pipe()
		t.Cleanup(func() { _ = server.Close(); _ = client.Close() })
		return newConn(server, netip.AddrPortFrom(netip.MustParseAddr(addr), 1), &cs.limits, nil), client
	}
	closed := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now())
		_, err := c.Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
	a1, a1Client := dial("192.0.2.1")
	a2, a2Client := dial("192.0.2.1")
	a3, _ := dial("192.0.2.1")
	if !cs.admit(a1) || !cs.admit(a2) || cs.admit(a3) {
		t.Fatal("a client has two connections, not three")
	}
	b1, b1Client := dial("2001:db8::1")
	c1, _ := dial("192.0.2.3")
	if !cs.admit(b1) {
		t.Fatal("another client is refused")
	}
	cs.touch(a1)
	if !cs.admit(c1) || !closed(a2Client) || closed(a1Client) || closed(b1Client) || cs.len() != 3 {
		t.Fatal("the connection idle for longest is not the one that went")
	}
	cs.remove(a2) // its goroutine, later
	cs.touch(a2)
	cs.remove(a1)
	b2, _ := dial("2001:db8::2")
	b3, _ := dial("2001:db8::3")
	if !cs.admit(b2) || cs.admit(b3) {
		t.Fatal("a /64 is one client")
	}
	for _, c := range []*conn{b1, b2, c1} {
		cs.remove(c)
	}
	if client, evicted := cs.rejected[rejectClient].Load(), cs.rejected[rejectEvicted].Load(); client != 2 || evicted != 1 {
		t.Errorf("%d refused for their client, %d evicted; want 2 and 1", client, evicted)
	}
	if cs.len() != 0 || len(cs.byClient) != 0 {
		t.Errorf("left: %d %v", cs.len(), cs.byClient)
	}
}
