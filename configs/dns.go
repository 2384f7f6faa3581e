package configs

import (
	"time"

	"github.com/meridian-gslb/meridian/dnsserver"
)

// decodeDNS reads "dns". The room serves if the section is there; what the section leaves out is the room's default.
func (f *file) decodeDNS(v value) {
	c := &dnsserver.Config{UDPSize: dnsserver.DefaultUDPSize}
	f.config.DNS = c
	f.object(v, inDNS, func(key string, v value) {
		switch key {
		case "listen":
			c.Listen = f.listen(v)
		case "udp_size":
			if n, ok := f.integer(v, dnsserver.MinUDPSize, dnsserver.MaxUDPSize); ok {
				c.UDPSize = uint16(n)
			}
		case "workers":
			n, _ := f.integer(v, 1, 256)
			c.Workers = int(n)
		case "tcp":
			f.object(v, inTCP, func(key string, v value) { f.tcpKey(key, v, &c.TCP) })
		}
	})
	if v.Get("listen") == nil {
		c.Listen = []string{defaultDNS}
	}
}

// tcpKey reads one key of "dns.tcp".
func (f *file) tcpKey(key string, v value, c *dnsserver.TCPConfig) {
	switch key {
	case "connections":
		n, _ := f.integer(v, 1, 1_000_000)
		c.Connections = int(n)
	case "per_client":
		n, _ := f.integer(v, 1, 1_000_000)
		c.PerClient = int(n)
	case "idle":
		c.Idle, _ = f.duration(v, time.Millisecond, time.Hour)
	case "io":
		c.IO, _ = f.duration(v, time.Millisecond, time.Minute)
	}
}
