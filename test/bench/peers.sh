#!/usr/bin/env bash
# Ours beside every peer that is installed: CPU microseconds of the server per request, on loopback, servers run alternately.
# The generator shares the cores with the server, so compare the cost per request and its ratio, not the rate.
# usage: test/bench/peers.sh [dns|edge]      env: ROUNDS (3), L seconds of a DNS round (4), N requests of an edge round (60000)
# Debian packages: dnsperf gdnsd knot nghttp2-client nghttp2-server nghttp2-proxy haproxy bind9-dnsutils openssl
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
what=${1:-all} rounds=${ROUNDS:-3}
tmp=$(mktemp -d); kids=()
finish() { local k; for k in "${kids[@]}"; do kill "$k" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$tmp"; }
trap finish EXIT
hz=$(getconf CLK_TCK)
CGO_ENABLED=0 go build -o "$tmp/meridian" ./cmd/meridian || exit 1

cpu() { # CPU ticks used so far by the process tree of $1
  local t=0 p u s
  for p in $1 $(pgrep -P "$1"); do
    read -r u s < <(awk '{sub(/.*\) /,""); print $12,$13}' "/proc/$p/stat" 2>/dev/null); t=$((t + ${u:-0} + ${s:-0}))
  done
  echo "$t"
}
rss() { awk '/VmRSS/{printf "%.0f", $2/1024}' "/proc/$1/status" 2>/dev/null; }
median() { sort -n | awk '{a[NR]=$1} END{if (NR) print a[int((NR+1)/2)]}'; }
start() { # name, command…: starts a server; its pid is in pid_NAME
  local n=$1; shift
  "$@" >"$tmp/$n.log" 2>&1 & kids+=($!); eval "pid_$n=$!"
}

dns() {
  mkdir -p "$tmp/g/zones" "$tmp/g/state" "$tmp/g/run"
  local names=()
  start meridian "$tmp/meridian" serve -c test/bench/dns.yaml; names+=("meridian:5399")
  if command -v gdnsd >/dev/null; then
    cat >"$tmp/g/config" <<C
options => { listen => 127.0.0.1:5301 state_dir => $tmp/g/state run_dir => $tmp/g/run udp_threads => 2 tcp_threads => 1 }
plugins => { weighted => { w => { service_types => "up" multi = false a = [192.0.2.1,10] b = [192.0.2.2,20] c = [192.0.2.3,30] } } }
C
    printf '@ SOA ns1 hostmaster (1 7200 1800 259200 900)\n@ NS ns1\nns1 A 127.0.0.1\nwww A 192.0.2.1\ndyn 30 DYNA weighted!w\n' >"$tmp/g/zones/example.com"
    start gdnsd gdnsd -c "$tmp/g" start; names+=("gdnsd:5301")
  fi
  if command -v knotd >/dev/null; then
    printf 'server:\n  listen: 127.0.0.1@5302\n  rundir: %s\n  udp-workers: 2\ndatabase:\n  storage: %s\nzone:\n  - domain: example.com\n    file: %s/k.zone\n' "$tmp" "$tmp" "$tmp" >"$tmp/knot.conf"
    printf '@ 60 SOA ns1 hostmaster 1 7200 1800 259200 900\n@ 60 NS ns1\nns1 60 A 127.0.0.1\nwww 60 A 192.0.2.1\ndyn 60 A 192.0.2.1\n' >"$tmp/k.zone"
    start knot knotd -c "$tmp/knot.conf"; names+=("knot:5302")
  fi
  sleep 2
  echo; echo "DNS over UDP: dnsperf, 8 clients, 400 outstanding, median of $rounds rounds"
  printf '%-10s %-10s %10s %12s %8s %8s\n' server answer qps 'cpu_us/query' lost rss_MB
  local q n name port pid a b out
  for q in 'dyn.example.com A:weighted' 'www.example.com A:static'; do
    echo "${q%:*}" >"$tmp/q"; rm -f "$tmp"/r.*
    for _ in $(seq 0 "$rounds"); do for n in "${names[@]}"; do
      name=${n%:*} port=${n#*:}; eval "pid=\$pid_$name"
      a=$(cpu "$pid"); out=$(dnsperf -s 127.0.0.1 -p "$port" -d "$tmp/q" -l "${L:-4}" -c 8 -T 2 -q 400 2>&1); b=$(cpu "$pid")
      [ -e "$tmp/warm.$name" ] || { : >"$tmp/warm.$name"; continue; }
      echo "$out" | awk -v t=$((b-a)) -v hz="$hz" '/Queries completed/{c=$3} /Queries per second/{q=$4} /Queries lost/{l=$3} END{printf "%.2f %d %d\n",(c>0?t*1e6/hz/c:0),q,l}' >>"$tmp/r.$name"
    done; done
    for n in "${names[@]}"; do
      name=${n%:*}; eval "pid=\$pid_$name"
      printf '%-10s %-10s %10s %12s %8s %8s\n' "$name" "${q#*:}" "$(cut -d' ' -f2 "$tmp/r.$name" | median)" "$(cut -d' ' -f1 "$tmp/r.$name" | median)" "$(cut -d' ' -f3 "$tmp/r.$name" | median)" "$(rss "$pid")"
    done
  done
}

edge() {
  if ! command -v nghttpd >/dev/null || ! command -v h2load >/dev/null; then echo "edge: needs nghttpd and h2load"; return; fi
  mkdir "$tmp/www"; head -c 1024 /dev/zero | tr '\0' a >"$tmp/www/1k"
  start be1 nghttpd --no-tls -n 1 -d "$tmp/www" -a 127.0.0.1 6001
  start be2 nghttpd --no-tls -n 1 -d "$tmp/www" -a 127.0.0.1 6002
  start edge "$tmp/meridian" serve -c test/bench/edge.yaml; local names=("edge:7009")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$tmp/k" -out "$tmp/c" -days 30 -subj /CN=localhost 2>/dev/null
  if command -v haproxy >/dev/null; then
    cat "$tmp/c" "$tmp/k" >"$tmp/ck"
    cat >"$tmp/h.cfg" <<C
global
  nbthread 2
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:7001 ssl crt $tmp/ck alpn h2,http/1.1
  default_backend b
backend b
  balance leastconn
  http-reuse always
  server s1 127.0.0.1:6001 proto h2
  server s2 127.0.0.1:6002 proto h2
C
    start haproxy haproxy -f "$tmp/h.cfg" -db; names+=("haproxy:7001")
  fi
  if command -v nghttpx >/dev/null; then
    start nghttpx nghttpx -f127.0.0.1,7005 '-b127.0.0.1,6001;;proto=h2' '-b127.0.0.1,6002;;proto=h2' --workers=2 "$tmp/k" "$tmp/c"; names+=("nghttpx:7005")
  fi
  sleep 2
  local load n name port pid a b out
  for load in '16 20' '32 1'; do
    echo; echo "HTTP/2 with TLS: h2load ${load% *} connections x ${load#* } streams, 1 KiB, two h2c backends, median of $rounds rounds"
    printf '%-10s %10s %14s %8s %8s\n' proxy req/s 'cpu_us/request' failed rss_MB
    rm -f "$tmp"/e.*
    for _ in $(seq 0 "$rounds"); do for n in "${names[@]}"; do
      name=${n%:*} port=${n#*:}; eval "pid=\$pid_$name"
      a=$(cpu "$pid"); out=$(h2load -n "${N:-60000}" -c "${load% *}" -m "${load#* }" -t 1 "https://127.0.0.1:$port/1k" 2>&1); b=$(cpu "$pid")
      [ -e "$tmp/ewarm.$name" ] || { : >"$tmp/ewarm.$name"; continue; }
      echo "$out" | awk -v t=$((b-a)) -v hz="$hz" '/^requests:/{tot=$2; ok=$8} /^finished in/{q=$4} END{printf "%.2f %d %d\n",(ok>0?t*1e6/hz/ok:0),q,tot-ok}' >>"$tmp/e.$name"
    done; done
    for n in "${names[@]}"; do
      name=${n%:*}; eval "pid=\$pid_$name"
      printf '%-10s %10s %14s %8s %8s\n' "$name" "$(cut -d' ' -f2 "$tmp/e.$name" | median)" "$(cut -d' ' -f1 "$tmp/e.$name" | median)" "$(cut -d' ' -f3 "$tmp/e.$name" | median)" "$(rss "$pid")"
    done
  done
}

echo "machine: $(nproc) cores, $(uname -sr), $(go version | cut -d' ' -f3)"
[ "$what" = edge ] || dns
[ "$what" = dns ] || edge
