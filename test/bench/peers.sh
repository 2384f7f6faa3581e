#!/usr/bin/env bash
# Ours beside every peer that is installed: CPU microseconds of the server per request, on loopback. All servers are up at once and
# take turns in a new order each round; shown are medians over the rounds, of the cost and of its ratio to ours in the same round.
# The generator shares the cores with the server, so compare the cost per request and its ratio, not the rate.
# usage: test/bench/peers.sh [dns|edge]
# env:   ROUNDS (7), L seconds of a DNS slice (2), N requests of an edge slice (60000),
#        ONLY words: loads of DNS to run (weighted static geo names file) and peers beside meridian (gdnsd knot nsd pdns coredns), default all
# Debian packages: dnsperf gdnsd knot nsd pdns-server pdns-backend-bind nghttp2-client nghttp2-server nghttp2-proxy haproxy bind9-dnsutils openssl
# CoreDNS is built from its module once, into ~/.cache/meridian-peers (MERIDIAN_PEERS); SKIP_COREDNS=1 does without.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
what=${1:-all} rounds=${ROUNDS:-7}
tmp=$(mktemp -d); kids=()
finish() { local k; for k in "${kids[@]}"; do kill "$k" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$tmp"; }
trap finish EXIT
hz=$(getconf CLK_TCK)
CGO_ENABLED=0 go build -o "$tmp/meridian" ./cmd/meridian || exit 1

tree() { local c; echo "$1"; for c in $(pgrep -P "$1"); do tree "$c"; done; }
cpu() { # CPU ticks used so far by the process tree of $1
  local t=0 p u s
  for p in $(tree "$1"); do
    read -r u s < <(awk '{sub(/.*\) /,""); print $12,$13}' "/proc/$p/stat" 2>/dev/null); t=$((t + ${u:-0} + ${s:-0}))
  done
  echo "$t"
}
rss() { # MB of the process tree of $1
  local p; for p in $(tree "$1"); do awk '/VmRSS/{print $2}' "/proc/$p/status" 2>/dev/null; done | awk '{t+=$1} END{printf "%.0f", t/1024}'
}
median() { sort -n | awk '{a[NR]=$1} END{if (NR) print a[int((NR+1)/2)]}'; }
start() { # name, command…: starts a server; its pid is in pid_NAME
  local n=$1; shift
  "$@" >"$tmp/$n.log" 2>&1 & kids+=($!); eval "pid_$n=$!"
}
wanted() { [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $1 "* ]]; }

# shellcheck source=test/bench/dns.sh
. test/bench/dns.sh
# shellcheck source=test/bench/edge.sh
. test/bench/edge.sh

echo "machine: $(nproc) cores, $(uname -sr), $(go version | cut -d' ' -f3)"
[ "$what" = edge ] || dns
[ "$what" = dns ] || edge
