package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// needs refuses a command line that has not exactly the named arguments. The message names the one that is missing and shows how it is
// done.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return badInput("%s is missing: %s", names[len(args)], usageOf(cmd))
		case len(args) > len(names):
			return badInput("%q is one argument too many: %s", args[len(names)], usageOf(cmd))
		}
		return nil
	}
}

// needsSome refuses a command line without any argument.
func needsSome(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return badInput("%s is missing: %s", name, usageOf(cmd))
		}
		return nil
	}
}

// badFlag says in words what is wrong with the value of a flag.
func badFlag(_ *cobra.Command, err error) error {
	invalid := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &invalid) {
		return err
	}
	flag, number := invalid.GetFlag(), (*strconv.NumError)(nil)
	switch {
	case !errors.As(err, &number):
		return badInput("--%s: %v", flag.Name, errors.Unwrap(invalid))
	case errors.Is(err, strconv.ErrRange) && flag.Value.Type() == "uint16":
		return badInput("--%s: %s is out of range; it is 0 to 65535", flag.Name, invalid.GetValue())
	case errors.Is(err, strconv.ErrRange):
		return badInput("--%s: %s is out of range", flag.Name, invalid.GetValue())
	}
	return badInput("--%s: a number is expected, not %q", flag.Name, invalid.GetValue())
}

// usageOf says in one line how a command is written.
func usageOf(cmd *cobra.Command) string {
	line := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	if first, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n"); first != "" {
		line += "\nfor example: " + first
	}
	return line
}

// A span is a flag's length of time: a Go duration, or bare seconds as in the configuration file.
type span struct {
	time.Duration
	given bool
}

// Set implements pflag.Value.
func (s *span) Set(text string) error {
	s.given = true
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		d := seconds * float64(time.Second)
		if math.IsNaN(d) || math.Abs(d) >= math.MaxInt64 {
			return fmt.Errorf("%s is out of range", text)
		}
		s.Duration = time.Duration(d)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a length of time: write 10s, 5m or 1h30m; a bare number is seconds", text)
	}
	s.Duration = d
	return nil
}

// String implements pflag.Value.
func (s *span) String() string {
	if s.Duration == 0 {
		return "" // help shows no default
	}
	return s.Duration.String()
}

// Type implements pflag.Value.
func (s *span) Type() string { return "duration" }
