#!/usr/bin/env bash
# Processor an order of two builds of Holdfast that serve at the same time under equal load: what a shared machine does to one
# it does to the other, so a change shows that `loadtest peers` cannot tell from noise. The same build twice stays within 0.02, mostly.
# Usage: loadtest/wrk/side_by_side.sh OLD NEW [rounds] [seconds] [skus]     two binaries; needs wrk, curl, python3
set -euo pipefail
old=$(realpath "$1") new=$(realpath "$2") rounds=${3:-8} seconds=${4:-3} skus=${5:-10000}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

wait_for() { for _ in $(seq 300); do curl -sf "$1" >/dev/null && return; sleep 0.1; done; echo "no answer from $1" >&2; exit 1; }

serve() { # name, binary, port; the process is in $server
  "$2" serve --data-dir "$work/$1.data" --listen "127.0.0.1:$3" --no-demo >"$work/$1.log" 2>&1 & server=$!
  wait_for "http://127.0.0.1:$3/readyz"
  python3 -c "
for n in range(1, $skus + 1): print('{\"sku\":\"SKU-%d\",\"location\":\"main\",\"on_hand\":2000000000}' % n)" |
    curl -sf -X POST "http://127.0.0.1:$3/v1/inventory/imports" -H 'Content-Type: application/x-ndjson' --data-binary @- >"$work/$1.import"
}

ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }

load() { # name, port
  SKUS=$skus RUN="$1-$RANDOM-$RANDOM" wrk -t2 -c128 -d"${seconds}s" -s loadtest/wrk/orders.lua "http://127.0.0.1:$2" |
    awk '/requests in/{print $1}' >"$work/$1.orders"
}

for round in $(seq "$rounds"); do
  # Who starts first and who is loaded first take turns: either is worth a percent or two.
  if ((round % 2)); then
    serve old "$old" 8091; first=$server
    serve new "$new" 8092; second=$server
  else
    serve new "$new" 8092; second=$server
    serve old "$old" 8091; first=$server
  fi
  before=("$(ticks "$first")" "$(ticks "$second")")
  if ((round % 2)); then load old 8091 & loads=$!; load new 8092
  else load new 8092 & loads=$!; load old 8091; fi
  wait "$loads"
  echo "$(($(ticks "$first") - before[0])) $(cat "$work/old.orders") $(($(ticks "$second") - before[1])) $(cat "$work/new.orders")" >>"$work/results"
  kill -TERM "$first" "$second"
  wait "$first" "$second" || true
  rm -rf "$work"/*.data
done
python3 - "$work/results" <<'P'
import os, statistics as s, sys
tick = 1e6 / os.sysconf("SC_CLK_TCK")
rows = [list(map(float, line.split())) for line in open(sys.argv[1])]
old, new = ([row[at] * tick / row[at + 1] for row in rows] for at in (0, 2))
ratios = sorted(b / a for a, b in zip(old, new))
print(f"server µs an order: old {s.median(old):.1f}  new {s.median(new):.1f}  new/old {s.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
P
