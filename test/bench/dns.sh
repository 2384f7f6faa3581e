# shellcheck shell=bash disable=SC2154,SC2016
# DNS servers beside ours. Read by peers.sh. Every server has example.com with www (static), dyn, and n0 to n99999; dyn and n* are
# weighted over three addresses in Meridian and gdnsd, static elsewhere. geo is answered by 500,000 networks in Meridian and gdnsd.
# example.net has the same names, static everywhere.

many=100000 networks=500000

# networks_list prints random networks, "CIDR number of a site", each once.
networks_list() {
  awk -v want="$networks" 'BEGIN {
    srand(1)
    while (n < want) {
      a = 1 + int(rand() * 222); b = int(rand() * 256); c = int(rand() * 256); r = rand()
      if (a == 10 || a == 127 || a == 100 || a == 169 || a == 172 || a == 192 || a == 198) continue
      len = r < .65 ? 24 : r < .8 ? 22 : r < .95 ? 20 : 16
      c -= len == 22 ? c % 4 : len == 20 ? c % 16 : len == 16 ? c : 0
      net = a "." b "." c ".0/" len
      if (!(net in seen)) { seen[net]; n++; print net, int(rand() * 4) }
    }
  }'
}

# zone_file prints the static zone, for either name.
zone_file() {
  printf '@ 60 IN SOA ns1 hostmaster 1 7200 1800 259200 900\n@ 60 IN NS ns1\nns1 60 IN A 127.0.0.1\nwww 60 IN A 192.0.2.1\ndyn 30 IN A 192.0.2.1\n'
  awk -v n="$many" 'BEGIN {for (i = 0; i < n; i++) printf "n%d 30 IN A 192.0.2.%d\n", i, i % 250}'
}

start_meridian() { # rate limits far above the load, as it comes from one address; cookies and metrics are on by default
  { cat test/bench/dns.yaml; awk -v n="$many" 'BEGIN {for (i = 0; i < n; i++) printf "      n%d: {service: web, policy: one}\n", i}'
    echo '  example.net: {file: zone}'; } >"$tmp/meridian.yaml"
  awk '{print $1, "dc" $2}' "$tmp/networks" >"$tmp/networks.txt"
  start meridian "$tmp/meridian" serve -c "$tmp/meridian.yaml"
}

start_gdnsd() {
  mkdir -p "$tmp/g/zones" "$tmp/g/geoip" "$tmp/g/state" "$tmp/g/run"
  cat >"$tmp/g/config" <<C
options => { listen => 127.0.0.1:5301 state_dir => $tmp/g/state run_dir => $tmp/g/run udp_threads => 2 tcp_threads => 1 }
plugins => {
  weighted => { w => { service_types => "up" multi = false a = [192.0.2.1,10] b = [192.0.2.2,20] c = [192.0.2.3,30] } }
  geoip => {
    maps => { m => { datacenters => [dc0,dc1,dc2,dc3] nets => nets } }
    resources => { g => { map => m service_types => "up" dcmap => { dc0 => 192.0.2.10 dc1 => 192.0.2.11 dc2 => 192.0.2.12 dc3 => 192.0.2.13 } } }
  }
}
C
  awk 'BEGIN {o[0]="dc0,dc1,dc2,dc3"; o[1]="dc1,dc0,dc2,dc3"; o[2]="dc2,dc0,dc1,dc3"; o[3]="dc3,dc0,dc1,dc2"} {print $1, "=> [" o[$2] "]"}' \
    "$tmp/networks" >"$tmp/g/geoip/nets"
  { printf '@ SOA ns1 hostmaster (1 7200 1800 259200 900)\n@ NS ns1\nns1 A 127.0.0.1\nwww A 192.0.2.1\ndyn 30 DYNA weighted!w\ngeo 30 DYNA geoip!g\n'
    awk -v n="$many" 'BEGIN {for (i = 0; i < n; i++) printf "n%d 30 DYNA weighted!w\n", i}'; } >"$tmp/g/zones/example.com"
  sed 's/ IN / /' "$tmp/zone" | sed 's/SOA ns1 hostmaster \(.*\)/SOA ns1 hostmaster (\1)/' >"$tmp/g/zones/example.net"
  start gdnsd gdnsd -c "$tmp/g" start
}

start_knot() {
  mkdir -p "$tmp/k"
  printf 'server:\n  listen: 127.0.0.1@5302\n  rundir: %s\n  udp-workers: 2\ndatabase:\n  storage: %s\ntemplate:\n  - id: default\n    file: %s/zone\n    journal-content: none\n    zonefile-sync: -1\nzone:\n  - domain: example.com\n  - domain: example.net\n' \
    "$tmp/k" "$tmp/k" "$tmp" >"$tmp/k/conf"
  start knot knotd -c "$tmp/k/conf"
}

start_nsd() {
  mkdir -p "$tmp/n"
  cat >"$tmp/n/conf" <<C
server:
  ip-address: 127.0.0.1@5303
  server-count: 2
  reuseport: yes
  username: ""
  database: ""
  pidfile: ""
  xfrdfile: ""
  zonelistfile: "$tmp/n/list"
  xfrdir: "$tmp/n"
  zonesdir: "$tmp"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: example.com
  zonefile: zone
zone:
  name: example.net
  zonefile: zone
C
  start nsd nsd -d -c "$tmp/n/conf"
}

start_pdns() {
  mkdir -p "$tmp/p"
  printf 'zone "example.%s" { type master; file "%s/zone"; };\n' com "$tmp" net "$tmp" >"$tmp/p/named.conf"
  printf 'launch=bind\nbind-config=%s/p/named.conf\nlocal-address=127.0.0.1\nlocal-port=5304\nreceiver-threads=2\nreuseport=yes\nsocket-dir=%s/p\nwebserver=no\nconfig-dir=%s/p\n' \
    "$tmp" "$tmp" "$tmp" >"$tmp/p/pdns.conf"
  start pdns pdns_server --config-dir="$tmp/p" --guardian=no --daemon=no
}

# build_coredns puts CoreDNS with what the benchmark needs at $coredns, unless it is there.
coredns=${MERIDIAN_PEERS:-$HOME/.cache/meridian-peers}/coredns
build_coredns() {
  [ -n "${SKIP_COREDNS:-}" ] && return 1
  [ -x "$coredns" ] && return
  echo "building CoreDNS, once…" >&2
  mkdir -p "${coredns%/*}/coredns-src" && (
    cd "${coredns%/*}/coredns-src" || exit 1
    printf 'module coredns-peer\n\ngo 1.26\n' >go.mod
    cat >main.go <<'GO'
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/file"
)

func main() {
	dnsserver.Directives = []string{"bind", "file"}
	coremain.Run()
}
GO
    go get github.com/coredns/coredns@latest && go mod tidy && CGO_ENABLED=0 go build -o "$coredns" .
  ) >"$tmp/coredns-build.log" 2>&1 && return
  echo "CoreDNS could not be built (no network?): $(tail -1 "$tmp/coredns-build.log")" >&2
  return 1
}

start_coredns() {
  printf '.:5305 {\n  bind 127.0.0.1\n  file %s/zone example.com example.net\n}\n' "$tmp" >"$tmp/Corefile"
  start coredns "$coredns" -conf "$tmp/Corefile" -quiet
}

# ports and programs of the servers; what is not installed is left out.
declare -A port=([meridian]=5399 [gdnsd]=5301 [knot]=5302 [nsd]=5303 [pdns]=5304 [coredns]=5305)
declare -A program=([gdnsd]=gdnsd [knot]=knotd [nsd]=nsd [pdns]=pdns_server)

installed() { # name: can it run here?
  case $1 in
    meridian) true ;;
    coredns) build_coredns ;;
    *) PATH=$PATH:/usr/sbin command -v "${program[$1]}" >/dev/null ;;
  esac
}

await() { # name: until it answers
  for _ in $(seq 600); do
    [ "$(dig +time=1 +tries=1 +short @127.0.0.1 -p "${port[$1]}" www.example.com A 2>/dev/null)" = 192.0.2.1 ] && return
    eval "kill -0 \$pid_$1" 2>/dev/null || break
    sleep 0.1
  done
  echo "$1 does not answer:"; tail -5 "$tmp/$1.log"
  return 1
}

slice() { # load, server: one slice of load; prints the generator's figures
  local at=127.0.0.1 p=${port[$2]}
  case $1 in
    weighted) dnsperf -s $at -p "$p" -d "$tmp/weighted.q" -l "${L:-2}" -c 8 -T 2 -q 400 2>&1 ;;
    static) dnsperf -s $at -p "$p" -d "$tmp/static.q" -l "${L:-2}" -c 8 -T 2 -q 400 2>&1 ;;
    geo) "$tmp/dnsgen" -server "$at:$p" -kind subnet -name geo.example.com -for "${L:-2}s" ;;
    names) "$tmp/dnsgen" -server "$at:$p" -kind names -zone example.com -names "$many" -missing 30 -for "${L:-2}s" ;;
    file) "$tmp/dnsgen" -server "$at:$p" -kind names -zone example.net -names "$many" -missing 30 -for "${L:-2}s" ;;
  esac
}

dns() {
  local PATH=$PATH:/usr/sbin up=() s l r
  if ! command -v dnsperf >/dev/null || ! command -v dig >/dev/null; then echo "dns: needs dnsperf and dig"; return; fi
  go build -o "$tmp/dnsgen" ./test/bench/dnsgen || return
  networks_list >"$tmp/networks"; zone_file >"$tmp/zone"
  echo 'dyn.example.com A' >"$tmp/weighted.q"; echo 'www.example.com A' >"$tmp/static.q"
  for s in meridian gdnsd knot nsd pdns coredns; do
    [ "$s" = meridian ] || wanted "$s" && installed "$s" && "start_$s" && await "$s" && up+=("$s")
  done
  [ "${up[0]:-}" = meridian ] || return
  echo "up: ${up[*]}; $(wc -l <"$tmp/networks") networks, $many names"
  for l in weighted static geo names file; do
    wanted "$l" || continue
    local on=()
    for s in "${up[@]}"; do
      case $l-$s in
        weighted-gdnsd | geo-gdnsd | *-meridian | static-* | names-* | file-*) on+=("$s") ;;
      esac
    done
    : >"$tmp/$l.rounds"
    for r in $(seq 0 "$rounds"); do # round 0 warms up
      for s in $(shuf -e "${on[@]}"); do one "$l" "$s" "$r"; done
    done
    report "$l" "${on[@]}"
  done
}

one() { # load, server, round
  local pid a b out
  eval "pid=\$pid_$2"
  a=$(cpu "$pid"); out=$(slice "$1" "$2"); b=$(cpu "$pid")
  [ "$3" = 0 ] && { sed -n 's/.*esponse codes: */  /p' <<<"$out" | tr -d '\n' >"$tmp/$1.$2.codes"; return; }
  awk -v t=$((b - a)) -v hz="$hz" -v s="$2" -v r="$3" '/Queries completed/{c=$3} /Queries per second/{q=$4} /Queries lost/{l=$3}
    END {if (c > 0) print r, s, t * 1e6 / hz / c, q, l + 0}' <<<"$out" >>"$tmp/$1.rounds"
}

report() { # load, servers…
  local l=$1 s pid
  shift
  echo
  case $l in
    weighted) echo "one weighted name, dnsperf, 8 clients, 400 outstanding" ;;
    static) echo "one static name, dnsperf, 8 clients, 400 outstanding" ;;
    geo) echo "random /24 client subnets over $networks networks, dnsgen, 400 outstanding" ;;
    file) echo "110,000 names of $many, 30 % NXDOMAIN, static from a zone file, dnsgen, 400 outstanding" ;;
    names) echo "110,000 names of $many, 30 % NXDOMAIN (weighted in meridian and gdnsd), dnsgen, 400 outstanding" ;;
  esac
  printf '%-10s %13s %10s %10s %8s %7s   %s\n' server 'cpu_us/query' 'to ours' qps lost rss_MB 'codes of the first round'
  for s in "$@"; do
    eval "pid=\$pid_$s"
    printf '%-10s %13.2f %10.2f %10.0f %8.0f %7s %s\n' "$s" \
      "$(awk -v s="$s" '$2 == s {print $3}' "$tmp/$l.rounds" | median)" \
      "$(awk -v s="$s" '$2 == "meridian" {base[$1] = $3} $2 == s {cost[$1] = $3} END {for (r in cost) if (base[r] > 0) print cost[r] / base[r]}' "$tmp/$l.rounds" | median)" \
      "$(awk -v s="$s" '$2 == s {print $4}' "$tmp/$l.rounds" | median)" \
      "$(awk -v s="$s" '$2 == s {print $5}' "$tmp/$l.rounds" | median)" \
      "$(rss "$pid")" "$(cat "$tmp/$l.$s.codes")"
  done
}
