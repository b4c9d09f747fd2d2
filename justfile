# One door to everything that is run on this tree. `just` lists the recipes; each is plain cargo or a script, so nobody needs just.

# Lists the recipes.
default:
    @just --list

# Formatting, lints and licences: what a change must pass before its tests run.
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy -p holdfast --no-default-features --locked -- -D warnings
    cargo deny check bans licenses sources

# Every test, or those whose names contain FILTER. Needs no server and no container.
test *FILTER:
    cargo test --workspace {{FILTER}}

# The engine in a simulated world that fails, from seeds 1 to SEEDS. A violation prints its seed.
sim SEEDS="500":
    cargo run --release -p holdfast-tests --bin simulate -- --seeds {{SEEDS}}

# Criterion benches of engine, actors, storage and gateway: `just bench step` runs those with `step` in their names.
bench *FILTER:
    cargo bench -p holdfast-benches {{FILTER}}

# Instructions of the eight hottest operations, held to benches/instructions.toml; `just instructions --write` keeps them. Needs valgrind.
instructions *ARGS:
    cargo run --release -p holdfast-benches --bin instructions -- {{ARGS}}

# Serves http://127.0.0.1:8080 from ./data, with demo SKUs; other arguments go to the binary, as in `just run verify`.
run *ARGS:
    cargo run --release -- {{ARGS}}

# Load on a server of its own, then an audit of it: `just load spike --rate 500 --out spike`.
load +SCENARIO="smoke":
    cargo build --release --workspace --bins
    target/release/loadtest run {{SCENARIO}}

# Integration: all of .ci/run, with real Cassandra and Kafka servers. Needs Java 17, Maven, Python and Node.
it:
    .ci/run
