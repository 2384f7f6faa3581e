package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
)

// TestSpan: lengths of time are written as in the file: with a unit, or as bare seconds.
func TestSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"10": 10 * time.Second, "1.5": 1500 * time.Millisecond, "10s": 10 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "-5": -5 * time.Second, "-5m": -5 * time.Minute,
	} {
		var s span
		if err := s.Set(in); err != nil || s.Duration != want || !s.given {
			t.Errorf("%s: %v %v, want %v", in, s.Duration, err, want)
		}
	}
	for _, in := range []string{"", "soon", "10 s", "1d", "NaN", "1e300", "-1e300", "Inf"} {
		var s span
		if err := s.Set(in); err == nil {
			t.Errorf("%q is taken for %v", in, s.Duration)
		}
	}
	if (&span{}).String() != "" || (&span{Duration: time.Minute}).String() != "1m0s" || (&span{}).Type() != "duration" {
		t.Error("what help shows")
	}
}

// TestNeeds: what is missing or too much is named, with the way to write it and an example.
func TestNeeds(t *testing.T) {
	cmd := &cobra.Command{Use: "force TARGET STATE", Example: "  force web up\n  force api down", Run: func(*cobra.Command, []string) {}}
	cmd.Flags().Bool("now", false, "")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "TARGET is missing: force TARGET STATE\nfor example: force web up"},
		{[]string{"web"}, "STATE is missing: "},
		{[]string{"web", "up"}, ""},
		{[]string{"web", "up", "now"}, `"now" is one argument too many: `},
	} {
		err := needs("TARGET", "STATE")(cmd, c.args)
		if (err == nil) != (c.want == "") || err != nil && (!strings.HasPrefix(err.Error(), c.want) || codeOf(err) != exitBadInput) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
	if err := needsSome("FILE")(cmd, nil); err == nil || needsSome("FILE")(cmd, []string{"a", "b"}) != nil {
		t.Errorf("some: %v", err)
	}
}

// TestComplain: an error is a line for people, and an object for programs.
func TestComplain(t *testing.T) {
	_, broken := configs.Parse("x.yaml", []byte("dsn: {}"))
	refused := &admin.Error{Status: http.StatusConflict, Message: "ambiguous", Candidates: []string{"site/a", "service/a"}}
	for _, c := range []struct {
		err                  error
		message              string
		problems, candidates int
	}{
		{errors.New("no disk"), "no disk", 0, 0},
		{badInput("no such <flag>"), "no such <flag>", 0, 0},
		{&exitError{exitBadInput, refused}, "ambiguous", 0, 2},
		{&exitError{exitBadInput, broken}, "1 problem in the configuration file", 1, 0},
	} {
		var b bytes.Buffer
		cli := &cli{err: &b}
		cli.complain(c.err, true)
		var e admin.Error
		if err := json.Unmarshal(b.Bytes(), &e); err != nil || e.Message != c.message || len(e.Problems) != c.problems || len(e.Candidates) != c.candidates {
			t.Errorf("%s: %+v %v", b.String(), e, err)
		}
		b.Reset()
		cli.complain(c.err, false)
		if got := b.String(); got != "meridian: "+c.err.Error()+"\n" {
			t.Errorf("%q", got)
		}
	}
	for args, want := range map[string]bool{
		"status -o json": true, "-ojson drain": true, "--output json x": true, "--output=json": true, "-o=json": true, "status": false, "-o table": false, "x -o": false, "json": false,
	} {
		if wantsJSON(strings.Fields(args)) != want {
			t.Errorf("%s: %v", args, !want)
		}
	}
}

// TestWarn: for people, in one line, and not where JSON says it.
func TestWarn(t *testing.T) {
	var b bytes.Buffer
	c := &cli{err: &b, format: "table"}
	c.warn("a %s", "b\x1b[31m\nc")
	if got := b.String(); !strings.HasPrefix(got, "meridian: warning: a b") || strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	b.Reset()
	c.format = "json"
	c.warn("x")
	if b.Len() != 0 {
		t.Errorf("%q", b.String())
	}
}

// TestLogText: what is logged about a file fits in a line.
func TestLogText(t *testing.T) {
	_, broken := configs.Parse("x.yaml", []byte("dsn: {}\nedeg: {}\n"))
	if got := brief(broken); strings.ContainsAny(got, "\n^|") || !strings.Contains(got, "x.yaml:1:1: ") || !strings.Contains(got, "; x.yaml:2:1: ") {
		t.Errorf("%q", got)
	}
	_, hopeless := configs.Parse("x.yaml", []byte(strings.Repeat("x", 1)+": 1\n"+strings.Join(strings.Split("abcdefghijklmnopq", ""), "1: 1\n")+": 1\n"))
	if got := brief(hopeless); !strings.Contains(got, "; and ") || strings.Count(got, "x.yaml:") != 10 {
		t.Errorf("%q", got)
	}
	if brief(errors.New("no disk")) != "no disk" {
		t.Error("another error")
	}
	attrs := listening(admin.Listen{DNS: []string{"a:1", "b:2"}, Admin: "c:3"})
	if len(attrs) != 4 || attrs[0] != "dns" || attrs[1] != "a:1, b:2" || attrs[2] != "admin" || attrs[3] != "c:3" {
		t.Errorf("%v", attrs)
	}
}

func TestPart(t *testing.T) {
	for text, want := range map[string]part{"20%": 0.2, "0.2": 0.2, " 5 % ": 0.05, "0": 0, "1": 1, "100%": 1, "0.5%": 0.005} {
		var s part
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q: %v %v, want %v", text, float64(s), err, float64(want))
		}
	}
	for _, text := range []string{"", "%", "20", "-1%", "101%", "NaN", "many", "0x"} {
		var s part
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken as %v", text, s)
		}
	}
	if s := part(0.125); s.String() != "12.5%" {
		t.Error(s.String())
	}
}
