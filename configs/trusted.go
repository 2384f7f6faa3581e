package configs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
)

// Name returns the path that c was read from, or "".
func (c *Config) Name() string { return c.name }

// Text returns the configuration file as it was read.
func (c *Config) Text() string { return c.text }

// ReadAs is ReadFile of a file that has a text, whatever stands in it now: relative paths in the text begin at the directory of name.
func ReadAs(name, text string) (*Config, error) {
	where := below(filepath.Dir(name))
	where.look, where.readers = true, runtime.GOMAXPROCS(0)
	c, _, err := parseFile(name, []byte(text), where)
	return c, err
}

// ReadTrusted is ReadFile of a file that somebody names who may not be allowed to read all that this process may: the file, and what it names,
// would be told of in problems. So it has to belong to the superuser, to the user of this process or to the owner of the file like, and nobody else
// may be able to write to it. Where files have no such owners, every file is trusted.
func ReadTrusted(name, like string) (*Config, error) {
	f, err := os.OpenFile(name, opened, 0)
	if err != nil {
		return nil, fmt.Errorf("configs: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("configs: %w", err)
	}
	if err := trusted(name, info, like); err != nil {
		return nil, err
	}
	data, err := read(f, name)
	if err != nil {
		return nil, err
	}
	return ReadAs(name, string(data))
}

// trusted says why a file is not to be read for somebody else.
func trusted(name string, info fs.FileInfo, like string) error {
	owner, ok := ownerOf(info)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("configs: %s is not a regular file", name)
	case !ok:
		return nil
	case info.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("configs: everybody may write to %s: take that back (chmod o-w), so that it is clear whose word it is", name)
	}
	of := ""
	if info, err := os.Stat(like); err == nil {
		of, _ = ownerOf(info)
	}
	if owner == processUser() || owner == userOf(0) || owner == of {
		return nil
	}
	return fmt.Errorf("configs: %s belongs to user %s; a configuration has to belong to the owner of the one in force, to %s or to %s", name, owner,
		processUser(), userOf(0))
}

// Glance returns the text of a configuration file and the directory for state that it names, even if much else in it is wrong. The directory is ""
// if it names none, or that cannot be made out. The error is that of the file system.
func Glance(name string) (text, state string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", "", fmt.Errorf("configs: %w", err)
	}
	defer f.Close()
	data, err := read(f, name)
	if err != nil {
		return "", "", err
	}
	state, readable := stateIn(data)
	if !readable { // perhaps that line alone is
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "state:") {
				state, _ = stateIn([]byte(line))
			}
		}
	}
	return string(data), below(filepath.Dir(name)).resolve(state), nil
}

// stateIn returns what a text says of the state, and whether it is YAML at all.
func stateIn(data []byte) (state string, readable bool) {
	root, _ := yaml.Parse(data)
	if root == nil {
		return "", false
	}
	if n := root.Get("state"); n != nil && n.Kind == yaml.Scalar {
		state = n.Value
	}
	return state, true
}
