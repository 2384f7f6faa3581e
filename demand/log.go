package demand

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// MaxKeys is how many Keys are kept of a log, and by a server: a Report of them fits into a request.
const MaxKeys = 4096

// ReadLog reads a log of queries: CSV lines "time,name,type,client,count". The time is RFC 3339 or Unix seconds, the client an address or a
// network, the count a whole number; without it, a line is one query. Empty lines and what follows "#" mean nothing; a first line that begins
// with "time" is a head. Queries a second are those of the time from the first line to the last, at least a second; the lines need not be
// in order. The log may be of any size.
//
// The error says which line is wrong, or is that of the reader.
func ReadLog(in io.Reader) (Report, error) {
	s := NewSketch(MaxKeys, 0, 0)
	lines := bufio.NewScanner(in)
	number, seen, first, last := 0, uint64(0), int64(0), int64(0)
	for lines.Scan() {
		number++
		line, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\ufeff"), "#")
		if strings.TrimSpace(line) == "" || seen == 0 && strings.HasPrefix(strings.ToLower(line), "time") {
			continue
		}
		at, k, n, err := parseLine(line)
		if err != nil {
			return Report{}, fmt.Errorf("demand: line %d: %w", number, err)
		}
		if seen == 0 {
			first, last = at, at
		}
		first, last = min(first, at), max(last, at)
		seen++
		s.Add(k, n, 0, Dice(seen))
	}
	if err := lines.Err(); err != nil {
		return Report{}, fmt.Errorf("demand: line %d: %w", number+1, err)
	}
	if seen == 0 {
		return Report{}, fmt.Errorf("demand: there is no query in the log: lines of time,name,type,client,count are expected")
	}
	s.begun = first
	return s.Report(last), nil
}

// parseLine reads one line of a log.
func parseLine(line string) (at int64, k Key, n float64, err error) {
	fields := strings.Split(line, ",")
	for i, f := range fields {
		fields[i] = strings.Trim(strings.TrimSpace(f), `"`)
	}
	if len(fields) != 4 && len(fields) != 5 {
		return 0, k, 0, fmt.Errorf("%d fields; time,name,type,client and perhaps a count are expected", len(fields))
	}
	if at, err = parseTime(fields[0]); err != nil {
		return 0, k, 0, err
	}
	k.Name, k.Type = strings.TrimSuffix(strings.ToLower(fields[1]), "."), strings.ToUpper(fields[2])
	if k.Name == "" && fields[1] != "." || k.Type == "" {
		return 0, k, 0, fmt.Errorf("a name and a type are expected in the second and third field")
	}
	client, err := netip.ParsePrefix(fields[3])
	if err != nil {
		addr, err := netip.ParseAddr(fields[3])
		if err != nil {
			return 0, k, 0, fmt.Errorf("%.80q is no address or network", fields[3])
		}
		client = netip.PrefixFrom(addr, addr.BitLen())
	}
	k.Client = Network(client)
	count := uint64(1)
	if len(fields) == 5 {
		if count, err = strconv.ParseUint(fields[4], 10, 40); err != nil || count == 0 {
			return 0, k, 0, fmt.Errorf("%.80q is no number of queries: a whole number of more than 0 is expected", fields[4])
		}
	}
	return at, k, float64(count), nil
}

// parseTime reads a time as Unix seconds; fractions are left out.
func parseTime(s string) (int64, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.Unix(), nil
	}
	whole, _, _ := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(whole, 10, 64); err == nil && n >= 0 && n < 1<<40 {
		return n, nil
	}
	return 0, fmt.Errorf("%.80q is no time: want 2026-03-02T08:00:00Z, or seconds since 1970", s)
}

// Dice makes dice for Add of numbers that follow one another (the finalizer of splitmix64).
func Dice(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
