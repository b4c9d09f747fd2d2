#!/usr/bin/env bash
# Orders per second of Holdfast against the bare handler, interleaved in one run: hot SKU and 10,000 SKUs, fsync on.
# Both are built as a release is (profile `dist`).
# Usage: loadtest/wrk/compare.sh [rounds] [seconds]     needs wrk, curl, python3
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3} seconds=${2:-8} connections=${CONNECTIONS:-256}
cargo build --profile dist -q -p holdfast -p holdfast-loadtest
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

load() { # name, url, skus
  # The environment must reach the script: a key is never used twice.
  SKUS=$3 RUN="$1-$RANDOM-$RANDOM" wrk -t2 -c"$connections" -d"${seconds}s" --latency -s loadtest/wrk/orders.lua "$2" >"$work/out"
  local rate p99 errors
  rate=$(awk '/Requests\/sec/{print $2}' "$work/out")
  p99=$(awk '$1=="99%"{print $2}' "$work/out")
  errors=$(awk -F: '/Non-2xx/{print $2}' "$work/out")
  echo "$1 $3 $rate $p99 ${errors:-0}" | tee -a "$work/results"
}

wait_for() { for _ in $(seq 300); do curl -sf "$1" >/dev/null && return; sleep 0.1; done; echo "no answer from $1" >&2; exit 1; }

for round in $(seq "$rounds"); do
  for skus in 1 10000; do
    target/dist/bare --listen 127.0.0.1:8090 & bare=$!
    sleep 0.5
    load bare http://127.0.0.1:8090 "$skus"
    kill $bare; wait $bare 2>/dev/null || true

    target/dist/holdfast serve --data-dir "$work/data" --listen 127.0.0.1:8091 --no-demo ${HOLDFAST_ARGS:-} >"$work/log" 2>&1 & server=$!
    wait_for http://127.0.0.1:8091/readyz
    python3 -c "
for n in range(1, $skus + 1): print('{\"sku\":\"SKU-%d\",\"location\":\"main\",\"on_hand\":2000000000}' % n)" |
      curl -sf -X POST http://127.0.0.1:8091/v1/inventory/imports -H 'Content-Type: application/x-ndjson' --data-binary @- | tail -1
    load holdfast http://127.0.0.1:8091 "$skus"
    kill -TERM $server; wait $server 2>/dev/null || true
    rm -rf "$work/data"
  done
done
python3 - "$work/results" <<'P'
import sys, statistics as s
rows = [line.split() for line in open(sys.argv[1])]
for skus in ("1", "10000"):
    rate = lambda name: s.median(float(r[2]) for r in rows if r[0] == name and r[1] == skus)
    ratio = rate("holdfast") / rate("bare")
    print(f"{skus:>6} SKUs: bare {rate('bare'):9.0f}/s  holdfast {rate('holdfast'):9.0f}/s  ratio {ratio:.2f}")
P
