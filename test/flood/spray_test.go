//go:build linux

package flood

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// A flood is queries for random names.
type flood struct {
	from   string  // sender; "" = another address of the loopback network with every query, as forgers do
	window int     // as fast as responses come, and up to that many queries ahead of them; 0 = by rate
	rate   float64 // queries per second, whatever comes back
}

const (
	burst    = 64                     // queries sent at once
	lostTime = 200 * time.Millisecond // what is not there by then will not come
)

// A sender is a flood that runs.
type sender struct {
	flood
	conn    *net.UDPConn
	packets *ipv4.PacketConn
	out, in []ipv4.Message
	dice    uint64
}

// run floods until stop, and counts what it sends.
func (f flood) run(t *testing.T, to string, stop *atomic.Bool, sent *atomic.Int64) {
	s, err := f.open(to)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.conn.Close()
	if f.window == 0 {
		go s.discard()
	}
	begun, ahead, total := time.Now(), 0, 0
	for !stop.Load() {
		if f.window == 0 && float64(total) > f.rate*time.Since(begun).Seconds() {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		n, err := s.send()
		if err != nil {
			t.Error(err)
			return
		}
		sent.Add(int64(n))
		total += n
		for ahead += n; f.window > 0 && ahead > f.window; {
			_ = s.conn.SetReadDeadline(time.Now().Add(lostTime))
			got, err := s.packets.ReadBatch(s.in, 0)
			if err != nil {
				ahead = 0
				break
			}
			ahead -= got
		}
	}
}

// open makes a socket, and messages that lack a name and a sender.
func (f flood) open(to string) (*sender, error) {
	from := f.from
	if from == "" {
		from = "0.0.0.0"
	}
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from+":0")))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(4 << 20)
	_ = c.SetWriteBuffer(4 << 20)
	query, err := new(dns.Msg).SetQuestion("xxxxxxxxxxxxxxxx.gslb.example.", dns.TypeA).Pack()
	if err != nil {
		return nil, err
	}
	s := &sender{flood: f, conn: c, packets: ipv4.NewPacketConn(c), dice: uint64(time.Now().UnixNano())}
	s.out, s.in = make([]ipv4.Message, burst), make([]ipv4.Message, burst)
	for i := range s.out {
		s.out[i] = ipv4.Message{Buffers: [][]byte{append([]byte(nil), query...)}, Addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))}
		if f.from == "" {
			s.out[i].OOB = (&ipv4.ControlMessage{Src: net.IPv4(127, 0, 0, 1)}).Marshal()
		}
		s.in[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 512)}}
	}
	return s, nil
}

// send sends a burst, each query for a name and, if it is to be, by a sender that there never was.
func (s *sender) send() (int, error) {
	const specDst = syscall.SizeofCmsghdr + 4 // where IP_PKTINFO has the sender
	var random [8]byte
	for i := range s.out {
		s.dice += 0x9e3779b97f4a7c15
		x := s.dice
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		binary.BigEndian.PutUint64(random[:], x)
		hex.Encode(s.out[i].Buffers[0][13:], random[:])
		if oob := s.out[i].OOB; oob != nil {
			copy(oob[specDst+1:], random[1:3])
			oob[specDst+3] = 1 + random[3]%254 // neither the network itself nor its broadcast address
		}
	}
	return s.packets.WriteBatch(s.out, 0)
}

// discard reads what comes back, until the socket is closed.
func (s *sender) discard() {
	for {
		if _, err := s.packets.ReadBatch(s.in, 0); err != nil {
			return
		}
	}
}
