# shellcheck shell=bash disable=SC2154
# The edge beside HAProxy and nghttpx. Read by peers.sh.

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
