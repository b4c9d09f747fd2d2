#!/usr/bin/env bash
# Orders per second with the relay to Kafka on against off, interleaved in one run on a real broker: 10,000 SKUs, fsync on.
# Usage: loadtest/wrk/relay.sh [rounds] [seconds]     needs wrk, curl, python3, Java and Maven
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3} seconds=${2:-8} connections=${CONNECTIONS:-256} skus=10000
cargo build --profile dist -q -p holdfast
work=$(mktemp -d)
export HOLDFAST_SERVERS="$work/servers"
[ ! -d /dev/shm ] || HOLDFAST_SERVERS=$(mktemp -d /dev/shm/relay.XXXXXX)
trap 'kill $(jobs -p) 2>/dev/null || true; tests/servers wipe all >/dev/null 2>&1; rm -rf "$work" "$HOLDFAST_SERVERS"' EXIT
# In earnest the broker has a machine of its own. Here it gets what the others leave of the processors, and no part in the
# disk that orders wait for.
brokers=$(chrt --idle 0 tests/servers start kafka 1)
for pid in $(pgrep -f "$HOLDFAST_SERVERS"); do echo 19 >"/proc/$pid/autogroup" || true; done

wait_for() { for _ in $(seq 300); do curl -sf "$1" >/dev/null && return; sleep 0.1; done; echo "no answer from $1" >&2; exit 1; }

load() { # on|off, round
  local enabled=false
  [ "$1" = on ] && enabled=true
  env "$brokers" HOLDFAST__KAFKA__ENABLED=$enabled HOLDFAST__KAFKA__TOPIC_PREFIX="round$2" \
    target/dist/holdfast serve --data-dir "$work/data" --listen 127.0.0.1:8091 --no-demo >"$work/log" 2>&1 & server=$!
  wait_for http://127.0.0.1:8091/readyz
  python3 -c "
for n in range(1, $skus + 1): print('{\"sku\":\"SKU-%d\",\"location\":\"main\",\"on_hand\":2000000000}' % n)" |
    curl -sf -X POST http://127.0.0.1:8091/v1/inventory/imports -H 'Content-Type: application/x-ndjson' --data-binary @- | tail -1
  SKUS=$skus RUN="$1-$RANDOM-$RANDOM" wrk -t2 -c"$connections" -d"${seconds}s" --latency -s loadtest/wrk/orders.lua http://127.0.0.1:8091 >"$work/out"
  local rate p99 errors lag
  rate=$(awk '/Requests\/sec/{print $2}' "$work/out")
  p99=$(awk '$1=="99%"{print $2}' "$work/out")
  errors=$(awk -F: '/Non-2xx/{print $2}' "$work/out")
  lag=$(curl -s http://127.0.0.1:8091/metrics | awk '$1=="holdfast_relay_lag_events"{print $2}')
  echo "$1 $rate $p99 ${errors:-0} ${lag:-0}" | tee -a "$work/results"
  kill -TERM $server; wait $server 2>/dev/null || true
  rm -rf "$work/data"
}

echo "relay orders/s p99 errors lag_events_at_the_end"
for round in $(seq "$rounds"); do load off "$round"; load on "$round"; done
python3 - "$work/results" <<'P'
import sys, statistics as s
rows = [line.split() for line in open(sys.argv[1])]
rate = lambda name: s.median(float(r[1]) for r in rows if r[0] == name)
print(f"off {rate('off'):9.0f}/s  on {rate('on'):9.0f}/s  ratio {rate('on') / rate('off'):.2f}")
P
