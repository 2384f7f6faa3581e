package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meridian-gslb/meridian/l7edge"
)

// A filePair is where the file names a certificate and its key.
type filePair struct{ cert, key value }

// filePath reads the name of a file or directory.
func (f *file) filePath(v value) string {
	s, ok := f.text(v)
	if ok && strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		f.errorf(v, "a path cannot hold control characters")
		return ""
	}
	return s
}

// look lets relative paths begin where the setting says, and reports what is wrong with the files they name: what the rooms would
// refuse when they start. Only a file of the operating system has a place where paths begin.
func (f *file) look(now time.Time) {
	if !f.setting.native {
		return
	}
	from := f.setting.resolve
	f.config.State = from(f.config.State)
	f.lookAtRedis()
	if f.setting.look {
		f.lookAtState()
	}
	if c := f.config.Consul; c != nil {
		for _, p := range []*string{&c.TokenFile, &c.CAFile, &c.CertFile, &c.KeyFile} {
			*p = from(*p)
		}
	}
	edge := f.config.Edge
	if edge == nil {
		return
	}
	for i, at := range f.pairs {
		pair := &edge.Certificates[i]
		pair.Cert, pair.Key = from(pair.Cert), from(pair.Key)
		if f.setting.look && len(edge.HTTPS) > 0 && pair.Cert != "" && pair.Key != "" {
			f.lookAtPair(at, *pair, now)
		}
	}
}

// lookAtState reports a path that cannot be a directory. One that is not there yet is made when the process starts.
func (f *file) lookAtState() {
	dir := f.config.State
	if dir == "" {
		return
	}
	switch info, err := os.Stat(dir); {
	case err == nil && !info.IsDir():
		f.errorf(f.state, "%q is not a directory; name one, or a path where nothing is yet", dir)
	case errors.Is(err, syscall.ENOTDIR):
		f.errorf(f.state, "%q leads through something that is not a directory", dir)
	}
}

// lookAtPair loads a certificate and its key as the edge will.
func (f *file) lookAtPair(at filePair, pair l7edge.CertificateFiles, now time.Time) {
	cert, err := pair.Load()
	if err != nil {
		f.pairErrors(at, err)
		return
	}
	const day = time.DateOnly
	switch leaf := cert.Leaf; {
	case now.After(leaf.NotAfter):
		f.warnf(at.cert.at, at.cert.path, "the certificate expired on %s, and clients refuse it: renew it", leaf.NotAfter.UTC().Format(day))
	case now.Before(leaf.NotBefore):
		f.warnf(at.cert.at, at.cert.path, "the certificate is not valid before %s, and clients refuse it until then", leaf.NotBefore.UTC().Format(day))
	}
}

// pairErrors reports what is wrong with each file of a pair, where it is named.
func (f *file) pairErrors(at filePair, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			f.pairErrors(at, err)
		}
		return
	}
	v := at.cert
	var e *l7edge.CertificateError
	if !errors.As(err, &e) {
		f.errorf(v, "%v", err)
		return
	}
	if e.Key {
		v = at.key
	}
	if errors.Is(e.Err, fs.ErrNotExist) || errors.Is(e.Err, fs.ErrPermission) || errors.As(e.Err, new(*fs.PathError)) {
		f.cannotRead(v, e.File, e.Err)
		return
	}
	f.errorf(v, "%q %v", e.File, e.Err)
}

// denied says why a user may not read a file, and what would help.
func denied(path, who string) string {
	msg := fmt.Sprintf("permission denied to read %q as user %s", path, who)
	name, info := barrier(path)
	if info == nil {
		return msg
	}
	of := ""
	if owner, ok := ownerOf(info); ok {
		of = " of user " + owner
	}
	if info.IsDir() {
		return fmt.Sprintf("%s: the directory %q%s has mode %v; let the user's group pass (chgrp, chmod 0750)", msg, name, of, info.Mode())
	}
	return fmt.Sprintf("%s: the file%s has mode %v; let the user's group read it (chgrp, chmod 0640)", msg, of, info.Mode())
}

// barrier returns what stands between this process and a file it may not read: the file, or the directory before it that it may not
// pass.
func barrier(path string) (string, fs.FileInfo) {
	for range 64 { // symbolic links may go in circles
		if info, err := os.Stat(path); err == nil {
			return path, info
		}
		link, err := os.Readlink(path)
		switch {
		case err != nil:
			path = filepath.Dir(path)
		case filepath.IsAbs(link):
			path = link
		default:
			path = filepath.Join(filepath.Dir(path), link)
		}
	}
	return "", nil
}

// processUser returns who this process runs as.
func processUser() string { return userOf(os.Geteuid()) }

// userOf returns a user's name and number, or the number alone if nobody has it.
func userOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return fmt.Sprintf("%s (%d)", u.Username, uid)
	}
	return strconv.Itoa(uid)
}
