#!/usr/bin/env bash
# Instructions of one order in Holdfast beside one in the bare handler, by the same count: callgrind counts them in every thread, under the
# same load from the same generator. Counts repeat within a percent or two on a machine where times do not.
# Hot threads are those that an order waits for: HTTP workers, shards, and the log. Rows of tables and snapshots are written at idle priority
# and are told apart. Both binaries are of one build (profile `dist`, or BUILD=target/release), made before.
# Usage: loadtest/wrk/instructions.sh [seconds] [skus]     needs valgrind, wrk, curl, python3
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-20} skus=${2:-1000} build=$(realpath "${BUILD:-target/dist}")
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

wait_for() { for _ in $(seq 600); do curl -sf "$1" >/dev/null && return; sleep 0.1; done; echo "no answer from $1" >&2; exit 1; }

load() { # url, seconds: prints the orders that were answered
  SKUS=$skus RUN="$RANDOM-$RANDOM" wrk -t1 -c64 -d"${2}s" --timeout 30s -s loadtest/wrk/orders.lua "$1" | awk '/requests in/{print $1}'
}

count() { # name, url, process: counts between two loads, so that neither the start nor the first requests are in it
  load "$2" 3 >/dev/null
  callgrind_control -z "$3" >/dev/null
  load "$2" "$seconds" >"$work/$1.orders"
  # Which of valgrind's threads is which of the system's, whose names are known.
  vgdb --pid="$3" v.info scheduler 2>&1 | sed -n 's/^Thread \([0-9]*\):.*lwpid \([0-9]*\).*/\1 \2/p' |
    while read -r number task; do echo "$number $(cat "/proc/$3/task/$task/comm")"; done >"$work/$1.threads"
  callgrind_control -d "$3" >/dev/null
  sleep 1
}

grind=(valgrind --quiet --tool=callgrind --separate-threads=yes --fair-sched=try)
"${grind[@]}" --callgrind-out-file="$work/bare.out" "$build/bare" --listen 127.0.0.1:8090 --workers 2 >/dev/null 2>"$work/bare.log" & bare=$!
until curl -s -o "$work/any" http://127.0.0.1:8090; do sleep 0.2; done
count bare http://127.0.0.1:8090 "$bare"
kill "$bare"; wait "$bare" 2>/dev/null || true

"${grind[@]}" --callgrind-out-file="$work/holdfast.out" "$build/holdfast" serve --data-dir "$work/data" --listen 127.0.0.1:8091 --no-demo \
  >"$work/log" 2>&1 & server=$!
wait_for http://127.0.0.1:8091/readyz
python3 -c "
for n in range(1, $skus + 1): print('{\"sku\":\"SKU-%d\",\"location\":\"main\",\"on_hand\":2000000000}' % n)" |
  curl -sf -X POST http://127.0.0.1:8091/v1/inventory/imports -H 'Content-Type: application/x-ndjson' --data-binary @- >/dev/null
count holdfast http://127.0.0.1:8091 "$server"
kill -TERM "$server"; wait "$server" 2>/dev/null || true

python3 - "$work" <<'P'
import collections, glob, re, sys
work = sys.argv[1]
KINDS = {"actix-rt|system": "HTTP workers", "shard": "shards", "commit": "log", "projector": "rows of tables", "snapshots": "snapshots"}

def kind_of(thread):
    return next((kind for start, kind in KINDS.items() if re.match(start, thread)), "other")

def threads(name):
    orders = int(open(f"{work}/{name}.orders").read())
    names = dict(line.rstrip("\n").split(" ", 1) for line in open(f"{work}/{name}.threads"))
    found = collections.Counter()
    for path in glob.glob(f"{work}/{name}.out.1-*"):
        thread = names.get(str(int(path.rsplit("-", 1)[1])), "")
        total = re.search(r"^totals: (\d+)", open(path).read(), re.M)
        found[kind_of(thread)] += int(total[1] if total else 0) / orders
    return orders, found

(bares, bare), (orders, ours) = threads("bare"), threads("holdfast")
hot = ("HTTP workers", "shards", "log", "other")
for name, count, parts in (("bare handler", bares, bare), ("Holdfast", orders, ours)):
    print(f"{name}: {count} orders; instructions an order: " + ", ".join(f"{kind} {parts[kind]:,.0f}" for kind in sorted(parts, key=parts.get, reverse=True)))
total = lambda parts: sum(parts[kind] for kind in hot)
print(f"hot threads: Holdfast {total(ours):,.0f}, bare handler {total(bare):,.0f}, ratio {total(ours) / total(bare):.2f}")
P
