package configs

import (
	"net"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/probes/quorum"
	"github.com/meridian-gslb/meridian/probes/share"
)

// decodeRedis reads "redis".
func (f *file) decodeRedis(v value) {
	c := &share.Config{}
	f.config.Redis, f.redis = c, v
	t := share.TLSConfig{}
	secure, master := false, value{}
	f.object(v, inRedis, func(key string, v value) {
		switch key {
		case "address":
			c.Addresses = f.redisAddresses(v)
		case "mode":
			c.Mode = share.Mode(f.oneOf(v, string(share.Single), string(share.Sentinel), string(share.Cluster)))
		case "master":
			c.Master, _ = f.text(v)
			master = v
		case "username":
			c.Username, _ = f.text(v)
		case "password_file":
			c.PasswordFile = f.filePath(v)
		case "database":
			n, _ := f.integer(v, 0, 1<<16)
			c.Database = int(n)
		case "prefix":
			if s, ok := f.word(v); ok {
				c.Prefix = s
			}
		case "every":
			c.Every, _ = f.duration(v, share.MinEvery, share.MaxEvery)
		case "name":
			if s, ok := f.word(v); ok {
				if len(s) > quorum.MaxName {
					f.errorf(v, "the name is longer than %d characters", quorum.MaxName)
					s = ""
				}
				f.proberName = s
			}
		case "tls":
			secure, _ = f.boolean(v)
		case "ca":
			t.CA = f.filePath(v)
		case "cert":
			t.Cert = f.filePath(v)
		case "key":
			t.Key = f.filePath(v)
		case "server_name":
			t.ServerName, _ = f.text(v)
		case "insecure":
			t.Insecure, _ = f.boolean(v)
		}
	})
	f.require(v, "address", "HOST:PORT of Redis, or a list of them")
	if secure {
		c.TLS = &t
	} else if t != (share.TLSConfig{}) {
		f.errorf(v, "ca, cert, key, server_name and insecure are about TLS: write tls: true, or leave them out")
	}
	switch {
	case (t.Cert == "") != (t.Key == ""):
		f.errorf(v, "cert and key belong together: the certificate that we show to Redis, and its key")
	case c.Mode == share.Sentinel && c.Master == "":
		f.require(v, "master", "the name by which sentinels know the server")
	case c.Mode != share.Sentinel && c.Master != "":
		f.errorf(master, "only sentinels know servers by name: write mode: sentinel, or leave it out")
	case c.Mode != share.Sentinel && c.Mode != share.Cluster && len(c.Addresses) > 1:
		f.errorf(v, "several addresses are those of sentinels or of a cluster: write mode: sentinel, or mode: cluster")
	case c.Mode == share.Cluster && c.Database != 0:
		f.errorf(v, "a cluster has database 0 only")
	}
}

// redisAddresses reads one HOST:PORT or several.
func (f *file) redisAddresses(v value) []string {
	var all names
	if v.Kind == yaml.Sequence && (len(v.Items) == 0 || len(v.Items) > share.MaxAddresses) {
		f.errorf(v, "one address is expected here, or a list of up to %d", share.MaxAddresses)
		return nil
	}
	for _, e := range v.elements() {
		s, ok := f.text(e)
		if !ok {
			continue
		}
		host, port, err := net.SplitHostPort(s)
		n, notPort := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil || notPort != nil || n == 0 || host == "" || strings.ContainsAny(s, "/@ "):
			f.errorf(e, "%s is not the address of Redis: HOST:PORT, such as redis.example.com:6379", quote(e))
		case all.has[s]:
			f.errorf(e, "%s is listed twice", s)
		default:
			all.add(s)
		}
	}
	return all.list
}

// lookAtRedis lets the paths of "redis" begin where the setting says, and reports files that cannot be used.
func (f *file) lookAtRedis() {
	c := f.config.Redis
	if c == nil {
		return
	}
	paths := []*string{&c.PasswordFile}
	if c.TLS != nil {
		paths = append(paths, &c.TLS.CA, &c.TLS.Cert, &c.TLS.Key)
	}
	for _, p := range paths {
		if *p != "" {
			*p = f.setting.resolve(*p)
		}
	}
	if !f.setting.look {
		return
	}
	if err := c.Check(); err != nil {
		f.errorf(f.redis, "%v", err)
	}
}
