#!/usr/bin/env bash
# Runs the CQL suites against a ScyllaDB cluster of yours (or any CQL cluster: tests/servers starts Cassandra).
# ScyllaDB itself is not started by the project's own tests, so this is how to see the suites pass on it.
set -euo pipefail
cd "$(dirname "$0")/.."

# The suites, as one command; the words after the nodes are appended.
suites=(cargo test --package holdfast-storage --features test-util cql -- --nocapture)

if [ $# -eq 0 ] || [ "$1" = --help ] || [ "$1" = -h ]; then
  cat <<TEXT
tests/scylla.sh HOST:PORT[,HOST:PORT…] [word…]

Runs the CQL suites against the cluster at these nodes:
  ${suites[*]} [word…]

The suites create keyspaces and drop them: give them a cluster whose data you can lose. ScyllaDB up to 2025.3 refuses
conditional updates on tablets; there, new keyspaces must come without tablets.

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

export HOLDFAST__SCYLLA__NODES=$nodes
exec "${suites[@]}" "$@"
