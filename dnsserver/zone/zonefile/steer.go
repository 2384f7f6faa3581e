package zonefile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// The words that stand where a record has its type and say that the name is steered, as in gdnsd: by the endpoints' addresses, or by
// a CNAME to their hosts.
const (
	steerDynamic = "DYNA"
	steerAlias   = "DYNC"
)

// steerKind returns which of the words that steer a word is, in whatever case, or "".
func steerKind(word []byte) string {
	switch {
	case len(word) != len(steerDynamic) || word[0]|0x20 != 'd':
	case bytes.EqualFold(word, []byte(steerDynamic)):
		return steerDynamic
	case bytes.EqualFold(word, []byte(steerAlias)):
		return steerAlias
	}
	return ""
}

// maxSteers bounds the ways in which one zone file steers names; many names may share one.
const maxSteers = 100_000

// steer appends the RDATA of "DYNA service[!policy] [type ...]" or "DYNC service[!policy]", of which the tokens from i on are read.
func (f *file) steer(dst []byte, kind string, e *entry, i int) ([]byte, error) {
	f.rebuilt = e.join(append(f.rebuilt[:0], kind...), i)
	if rdata, ok := f.parser.steers[string(f.rebuilt)]; ok {
		return append(dst, rdata...), nil
	}
	s := zone.FileSteer{Owner: bytes.Clone(f.owner), File: f.pos, Line: uint32(e.line)}
	for j := i; j < len(e.tokens); j++ {
		if e.tokens[j].quoted {
			return dst, fmt.Errorf("%q is quoted, but names of services, policies and types are not", e.word(j))
		}
	}
	if i == len(e.tokens) {
		return dst, fmt.Errorf("%s takes service!policy, or a service alone, as in: www %s web!close-by", kind, kind)
	}
	service, by, hasPolicy := strings.Cut(string(e.word(i)), "!")
	s.Service, s.Policy = service, by
	if service == "" || hasPolicy && by == "" {
		return dst, fmt.Errorf("%q is not of the form service!policy, or a service alone", e.word(i))
	}
	for j := i + 1; j < len(e.tokens); j++ {
		s.Types = append(s.Types, strings.ToUpper(string(e.word(j))))
	}
	if kind == steerAlias {
		if len(s.Types) > 0 {
			return dst, errors.New("DYNC answers with CNAME and nothing else, so no types follow it; write DYNA to steer others")
		}
		s.Types = []string{"CNAME"}
	}
	if len(f.parser.steers) >= maxSteers {
		return dst, fmt.Errorf("more than %d different services, policies and lists of types", maxSteers)
	}
	if f.parser.steers == nil {
		f.parser.steers = map[string][]byte{}
	}
	rdata := f.out.AddSteer(s)
	f.parser.steers[string(f.rebuilt)] = rdata
	return append(dst, rdata...), nil
}
