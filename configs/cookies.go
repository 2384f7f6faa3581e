package configs

import (
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/dnsserver"
)

// maxWord is the most bytes of what the server tells of itself.
const maxWord = 128

// ownWord reads what the server tells of itself.
func (f *file) ownWord(v value) string {
	s, _ := f.text(v)
	switch {
	case len(s) > maxWord:
		f.errorf(v, "the text has %d bytes; %d is the most", len(s), maxWord)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		f.errorf(v, "the text cannot hold control characters")
	default:
		return s
	}
	return ""
}

// cookies reads "dns.cookies": off, or how cookies are made.
func (f *file) cookies(v value, c *dnsserver.CookieConfig) {
	if isOff(v) {
		c.Off = true
		return
	}
	if v.Kind == yaml.Scalar {
		f.errorf(v, "off, or a mapping with secret, staging, secret_file or require, is expected here, not %s", quote(v))
		return
	}
	var active, staging, path value
	f.object(v, inCookies, func(key string, v value) {
		switch key {
		case "secret":
			active = v
		case "staging":
			staging = v
		case "secret_file":
			path = v
		case "require":
			c.Require, _ = f.boolean(v)
		}
	})
	switch {
	case path.Node != nil && (active.Node != nil || staging.Node != nil):
		f.errorf(path, "the secrets stand here and in a file; remove one of them")
	case path.Node != nil:
		c.Secrets = f.secretsFrom(path)
	case staging.Node != nil && active.Node == nil:
		f.require(v, "secret", "what cookies are made with; staging is only what else is understood")
	}
	for _, v := range []value{active, staging} {
		if v.Node == nil {
			continue
		}
		if s, ok := f.text(v); ok {
			if secret, ok := parseSecret(s); ok {
				c.Secrets = append(c.Secrets, secret)
			} else {
				f.errorf(v, "a secret is 32 hexadecimal digits (openssl rand -hex 16)")
			}
		}
	}
	if len(c.Secrets) == 2 && c.Secrets[0] == c.Secrets[1] {
		f.errorf(v, "staging is the secret itself; it is the one to come, or the one before")
	}
}

// parseSecret reads 16 bytes.
func parseSecret(s string) (secret [16]byte, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(secret) {
		return secret, false
	}
	return [16]byte(b), true
}

// secretsFrom reads a file of one secret, or two: that in use, and the one staged.
func (f *file) secretsFrom(v value) [][16]byte {
	const most = 4 << 10
	path := f.filePath(v)
	if path == "" {
		return nil
	}
	path = f.setting.resolve(path)
	f.hidden[path] = true
	text, err := f.readData(path, most)
	if err != nil {
		f.cannotRead(v, path, err)
		return nil
	}
	var list [][16]byte
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		secret, ok := parseSecret(line)
		switch {
		case !ok:
			f.dataProblem(path, number, 0, v.path, "a secret is 32 hexadecimal digits (openssl rand -hex 16)")
		case len(list) == 2:
			f.dataProblem(path, number, 0, v.path, "there are two secrets already: the one in use, and the one staged")
		}
		list = append(list, secret)
	}
	if len(list) == 0 {
		f.errorf(v, "%q holds no secret: 32 hexadecimal digits (openssl rand -hex 16)", filepath.Base(path))
	}
	return list
}

// warnSecrets warns of files of secrets that everybody on the machine may read.
func (f *file) warnSecrets() {
	for _, s := range f.config.Files.stamps {
		if f.setting.native && f.hidden[s.path] && s.info.Mode().Perm()&0o004 != 0 {
			f.warnThere([]string{"dns", "cookies", "secret_file"}, "everybody on this machine may read the secrets in %q (mode %v): chmod o-r", s.path, s.info.Mode())
		}
	}
}
