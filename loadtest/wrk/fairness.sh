#!/usr/bin/env bash
# A modest client beside a greedy one, on a server of its own: loadtest/src/fairness.rs says what both do, and fails if the modest one
# has not its share. Usage: loadtest/wrk/fairness.sh SERVER LOADTEST [options of `loadtest fairness`]
# With WITHOUT_KEYS=1 the two have no keys: from one address they are one client then, and share what it may have in hand.
set -euo pipefail
server=$(realpath "$1") loadtest=$(realpath "$2"); shift 2
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

key() { "$server" key new --name "$1" --role admin --data-dir "$work/data" --json | sed -n 's/.*"key":"\([^"]*\)".*/\1/p'; }

[ -n "${WITHOUT_KEYS:-}" ] || { HOLDFAST_KEY=$(key modest); HOLDFAST_GREEDY_KEY=$(key greedy); export HOLDFAST_KEY HOLDFAST_GREEDY_KEY; }
ulimit -n "$(ulimit -Hn)"
"$server" serve --data-dir "$work/data" --listen 127.0.0.1:"${PORT:-8093}" --no-demo >"$work/log" 2>&1 & pid=$!
for _ in $(seq 300); do curl -sf "http://127.0.0.1:${PORT:-8093}/readyz" >/dev/null && break; sleep 0.1; done
"$loadtest" fairness --url "http://127.0.0.1:${PORT:-8093}" --pid "$pid" "$@" || { status=$?; tail -n 5 "$work/log" >&2; exit $status; }
