#!/usr/bin/env bash
# Runs the CQL suites against a ScyllaDB cluster of yours (or any CQL cluster: tests/servers starts Cassandra).
# ScyllaDB itself is not started by the project's own tests, so this is how to see the suites pass on it.
set -euo pipefail
cd "$(dirname "$0")/.."

# What is run; the words after the nodes are appended to each.
suites=(
  "cargo test --package holdfast-storage --test cql"
  "cargo test --package holdfast-tests --test api"
)

if [ $# -eq 0 ] || [ "$1" = --help ] || [ "$1" = -h ]; then
  cat <<TEXT
tests/scylla.sh HOST:PORT[,HOST:PORT…] [word…]

Runs the CQL suites against the cluster at these nodes:
$(printf '  %s [word…]\n' "${suites[@]}")

The first is the journal alone, the second the whole server over HTTP. They create keyspaces: give them a cluster whose data
you can lose. Every [scylla] setting can be given as a variable. ScyllaDB up to 2025.3 refuses conditional updates on tablets:
  export HOLDFAST__SCYLLA__KEYSPACE_OPTIONS="AND tablets = {'enabled': false}"

Examples:
  tests/scylla.sh 10.0.0.1:9042,10.0.0.2:9042,10.0.0.3:9042
  docker compose --profile scylla3 up -d --wait && tests/scylla.sh 127.0.0.1:9042,127.0.0.2:9042,127.0.0.3:9042
TEXT
  [ $# -gt 0 ] && exit 0 || exit 2
fi

nodes=$1
shift
# A cluster that is not there would be reported by every test for itself.
for node in ${nodes//,/ }; do
  [[ $node == *:* ]] || { echo "tests/scylla.sh: '$node' has no port; give HOST:PORT, for example $node:9042" >&2 && exit 1; }
  # shellcheck disable=SC2016 # the inner shell expands them
  timeout 5 bash -c ': <>"/dev/tcp/$1/$2"' - "${node%:*}" "${node##*:}" 2>/dev/null ||
    { echo "tests/scylla.sh: nothing listens at $node. Is the node up, and the port open from here?" >&2 && exit 1; }
done

export HOLDFAST__SCYLLA__NODES=$nodes HOLDFAST_REQUIRE_SERVERS=1 HOLDFAST__JOURNAL__BACKEND=scylla
count=$(tr ',' '\n' <<<"$nodes" | wc -l)
export HOLDFAST__SCYLLA__REPLICATION=${HOLDFAST__SCYLLA__REPLICATION:-$((count < 3 ? 1 : 3))}
export HOLDFAST__DATA__PARTITIONS=${HOLDFAST__DATA__PARTITIONS:-16}
cargo build --package holdfast
for suite in "${suites[@]}"; do
  # shellcheck disable=SC2086 # a command of words without spaces
  $suite "$@"
done
