package dnsserver

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestTheEndLosesNoQuery: clients ask in closed loops while the server ends, on one address and on every address of the machine. Each
// query is answered, or refused by the kernel at once; none goes unheard.
func TestTheEndLosesNoQuery(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", ":0"} {
		for range 20 {
			s, end := start(t, Config{Listen: []string{listen}, Workers: 2})
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() { askUntilRefused(t, s) })
			}
			time.Sleep(10 * time.Millisecond)
			end()
			clients.Wait()
		}
	}
}

func askUntilRefused(t *testing.T, s *Server) {
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(s.Addrs()[0].Port())})
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	msg, err := query("www.gslb.example", dns.TypeA).Pack()
	if err != nil {
		t.Error(err)
		return
	}
	in := make([]byte, 1<<12)
	for {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, err := conn.Write(msg)
		if err == nil {
			_, err = conn.Read(in)
		}
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return
		case err != nil:
			t.Errorf("a query was lost: %v", err)
			return
		}
	}
}
