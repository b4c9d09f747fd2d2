//! A value that cannot be used for every setting there is: `config check` and `serve` refuse it in the same words, before anything is
//! made; and the greatest values that can be used start a server.

use crate::settings::{Bench, said};
use holdfast_tests::server::{Options, Server};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const ZERO_BYTE: &str = "\"a\\u0000b\"";

/// Setting and value, as the file has them.
const BAD: [(&str, &str); 140] = [
    ("server.listen", "\"nonsense\""),
    ("server.listen", "\"a b:80\""),
    ("server.listen", "\"::1:80\""),
    ("server.listen", "\"127.0.0.1:65536\""),
    ("server.workers", "513"),
    ("server.workers", "100000"),
    ("server.max_connections", "0"),
    ("server.body_timeout_seconds", "0"),
    ("server.body_seconds", "0"),
    ("server.body_min_bytes_per_second", "1048577"),
    ("server.bodies_mb", "0"),
    ("server.key_share_percent", "0"),
    ("server.key_share_percent", "101"),
    ("server.max_streams", "10000001"),
    ("server.stream_patience_seconds", "0"),
    ("server.trusted_proxies", "\"10.0.0.0/33\""),
    ("server.drain_notice_seconds", "2592001"),
    ("server.drain_seconds", "9223372036854775807"),
    ("server.answer_wait_seconds", "-1"),
    ("server.insecure", "\"maybe\""),
    ("server.hosts", "\"http://x\""),
    ("server.origins", "\"*\""),
    ("server.origins", "\"https://shop.example/path\""),
    ("server.origins", "\"null\""),
    ("data.dir", "\"\""),
    ("data.dir", "\"holdfast.toml/data\""),
    ("data.dir", ZERO_BYTE),
    ("data.partitions", "0"),
    ("data.ephemeral", "1"),
    ("data.demo", "\"yes\""),
    ("data.reserve_mb", "9223372036854775807"),
    ("data.reserve_mb", "1.5"),
    ("console.enabled", "\"maybe\""),
    ("console.idle_seconds", "0"),
    ("backup.dir", "\"data/backups\""),
    ("backup.dir", "\"holdfast.toml\""),
    ("journal.backend", "\"floppy\""),
    ("journal.keep_days", "4294967295"),
    ("journal.keep_gb", "1048577"),
    ("journal.scrub_hours", "8785"),
    ("scylla.nodes", "\"a b\""),
    ("scylla.nodes", "\"\""),
    ("scylla.keyspace", "\"Upper\""),
    ("scylla.replication", "0"),
    ("scylla.local_dc", "\"it's\""),
    ("scylla.keyspace_options", "\"; DROP KEYSPACE x\""),
    ("scylla.consistency", "\"one\""),
    ("scylla.user", "\"a\\nb\""),
    ("scylla.password_file", ZERO_BYTE),
    ("scylla.timeout_ms", "0"),
    ("scylla.tls.enabled", "\"maybe\""),
    ("scylla.tls.ca_file", ZERO_BYTE),
    ("scylla.tls.certificate_file", ZERO_BYTE),
    ("scylla.tls.key_file", ZERO_BYTE),
    ("engine.shards", "65"),
    ("engine.shards", "100000"),
    ("engine.credits", "0"),
    ("engine.credits", "9223372036854775807"),
    ("engine.snapshot_events", "0"),
    ("engine.batch_kb", "3"),
    ("engine.batch_kb", "65537"),
    ("engine.commits_in_flight", "0"),
    ("engine.commits_in_flight", "65"),
    ("engine.memory_ahead_mb", "9223372036854775807"),
    ("orders.accepting", "\"maybe\""),
    ("orders.ttl_seconds", "0"),
    ("orders.ttl_seconds", "86401"),
    ("orders.ttl_max_seconds", "86401"),
    ("orders.ttl_max_seconds", "0"),
    ("holds.max_life_seconds", "2592001"),
    ("holds.max_extensions", "10001"),
    ("payments.pin_seconds", "9223372036854775807"),
    ("payments.query_after_seconds", "2592001"),
    ("payments.query_max_seconds", "2592001"),
    ("payments.unknown_max_seconds", "2592001"),
    ("payments.decline_grace_seconds", "2592001"),
    ("payments.call_timeout_seconds", "9223372036854775807"),
    ("payments.late_payment", "\"never\""),
    ("sandbox.enabled", "\"maybe\""),
    ("sandbox.public_url", "\"javascript:alert(1)\""),
    ("sandbox.public_url", "\"javascript://shop.example/%0aalert(1)\""),
    ("sandbox.public_url", "\"https://user@shop.example\""),
    ("sandbox.public_url", "\"https://shop.example/?x=y\""),
    ("sandbox.public_url", "\"https://shop.example/#x\""),
    ("sandbox.replay_window_seconds", "9223372036854775807"),
    ("kafka.enabled", "\"maybe\""),
    ("kafka.brokers", "\"a b:9092\""),
    ("kafka.brokers", "\"127.0.0.1:99999\""),
    ("kafka.topic_prefix", "\"a b\""),
    ("kafka.topic_partitions", "0"),
    ("kafka.replication", "17"),
    ("kafka.queue_events", "0"),
    ("kafka.flush_seconds", "9223372036854775807"),
    ("kafka.payment_results", "true"),
    ("kafka.group", "\"\""),
    ("kafka.security.protocol", "\"tls\""),
    ("kafka.security.ca_file", ZERO_BYTE),
    ("kafka.security.certificate_file", ZERO_BYTE),
    ("kafka.security.key_file", ZERO_BYTE),
    ("kafka.security.mechanism", "\"NTLM\""),
    ("kafka.security.user", "\"a\\nb\""),
    ("kafka.security.password_file", ZERO_BYTE),
    ("admin.listen", "\"9090\""),
    ("admin.listen", "\"0.0.0.0:9090\""),
    ("admin.listen", "\"127.0.0.1:8080\""),
    ("auth.keys", "[{ name = \"a\", hash = \"00\" }]"),
    ("auth.keys", "[{ name = \"a\", hash = \"zz\", scope = 1 }]"),
    ("auth.keys", "[{ hash = \"00\" }]"),
    ("limits.storefront.orders", "\"100\""),
    ("limits.storefront.stock", "\"0/1h\""),
    ("limits.storefront.reads", "\"10/25h\""),
    ("limits.viewer.reads", "\"0/1h\""),
    ("limits.viewer.operators", "\"10/25h\""),
    ("limits.admin.orders", "\"100\""),
    ("limits.admin.stock", "\"0/1h\""),
    ("limits.admin.reads", "\"10/25h\""),
    ("limits.admin.operators", "100"),
    ("limits.address.orders", "\"10/25h\""),
    ("limits.address.stock", "100"),
    ("limits.address.reads", "\"off\""),
    ("limits.address.operators", "\"100\""),
    ("limits.address.open", "\"0/1h\""),
    ("auth.own_orders", "\"maybe\""),
    ("log.format", "\"xml\""),
    ("log.level", "\"loud\""),
    ("log.level", "\"\""),
    ("log.level", "\"holdfast=loud\""),
    ("log.level", "\"info,holdfast=loud\""),
    ("log.level", "\"=\""),
    ("log.level", "\"[\""),
    ("log.requests", "\"all\""),
    ("log.sample.error", "0"),
    ("log.sample.warn", "10000001"),
    ("log.sample.info", "-1"),
    ("log.sample.debug", "0.5"),
    ("log.sample.trace", "\"none\""),
    ("telemetry.old_names", "\"perhaps\""),
    ("telemetry.otlp_endpoint", "\"127.0.0.1:4318\""),
    ("telemetry.otlp_endpoint", "\"https://127.0.0.1:4318\""),
    ("telemetry.trace_one_in", "10000001"),
];

/// Without the settings of the bench itself, of which one may be tried.
fn refused(bench: &Bench, args: &[&str]) -> Output {
    let mut command = bench.command(&[args, &["--config", "holdfast.toml"]].concat());
    command.env_remove("HOLDFAST__ENGINE__MEMORY_AHEAD_MB").output().unwrap()
}

/// What is wrong with how a value is refused, if anything is.
fn mistaken(key: &str, value: &str) -> Option<String> {
    let (section, name) = key.rsplit_once('.').unwrap();
    let bench = Bench::new(&format!("[{section}]\n{name} = {value}\n"));
    let (checked, served) = (refused(&bench, &["config", "check"]), refused(&bench, &["serve"]));
    let told = said(&checked);
    let refused = checked.status.code() == Some(1) && told.contains(&format!("holdfast.toml:2: {key}: "));
    let same = (served.status.code(), said(&served)) == (checked.status.code(), told.clone());
    let made = bench.0.path().join("data").exists();
    (!refused || !same || made)
        .then(|| format!("{key} = {value}: {:?} {told}\nserve: {:?} {}", checked.status, served.status, said(&served)))
}

#[test]
fn config_check_and_serve_refuse_a_bad_value_of_every_setting_in_the_same_words() {
    let explained = Bench::new("").run(&["config", "explain", "--json"]);
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let all: BTreeSet<&str> = explained.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    let tried: BTreeSet<&str> = BAD.iter().map(|(key, _)| *key).collect();
    assert_eq!(tried, all, "every setting needs a value that is refused");
    let next = AtomicUsize::new(0);
    let found: Vec<String> = thread::scope(|scope| {
        let work = || {
            let rows = std::iter::from_fn(|| BAD.get(next.fetch_add(1, Ordering::Relaxed)));
            rows.filter_map(|(key, value)| mistaken(key, value)).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_server_starts_with_the_greatest_values_that_config_check_takes() {
    const MONTH: &str = "2592000";
    let greatest = [
        ("SERVER__WORKERS", "512"),
        ("SERVER__MAX_CONNECTIONS", "10000000"),
        ("SERVER__BODY_TIMEOUT_SECONDS", MONTH),
        ("SERVER__BODY_SECONDS", MONTH),
        ("SERVER__BODIES_MB", "1048576"),
        ("SERVER__BODY_MIN_BYTES_PER_SECOND", "1048576"),
        ("SERVER__KEY_SHARE_PERCENT", "100"),
        ("SERVER__MAX_STREAMS", "10000000"),
        ("SERVER__STREAM_PATIENCE_SECONDS", MONTH),
        ("HOLDS__MAX_LIFE_SECONDS", MONTH),
        ("HOLDS__MAX_EXTENSIONS", "10000"),
        ("JOURNAL__SCRUB_HOURS", "8784"),
        ("SERVER__ANSWER_WAIT_SECONDS", MONTH),
        ("SERVER__DRAIN_SECONDS", MONTH),
        ("SERVER__DRAIN_NOTICE_SECONDS", MONTH),
        ("ENGINE__CREDITS", "10000000"),
        ("ENGINE__SNAPSHOT_EVENTS", "10000000000"),
        ("PAYMENTS__PIN_SECONDS", MONTH),
        ("PAYMENTS__QUERY_AFTER_SECONDS", MONTH),
        ("PAYMENTS__QUERY_MAX_SECONDS", MONTH),
        ("PAYMENTS__UNKNOWN_MAX_SECONDS", MONTH),
        ("PAYMENTS__DECLINE_GRACE_SECONDS", MONTH),
        ("PAYMENTS__CALL_TIMEOUT_SECONDS", MONTH),
        ("SANDBOX__REPLAY_WINDOW_SECONDS", MONTH),
        ("KAFKA__QUEUE_EVENTS", "10000000"),
        ("KAFKA__FLUSH_SECONDS", MONTH),
        ("SCYLLA__TIMEOUT_MS", "2592000000"),
    ];
    let named = |name: &str| format!("HOLDFAST__{name}");
    let options = greatest.iter().fold(Options::new(), |options, (name, value)| options.env(named(name), *value));
    let server = Server::prepare(options.clone());
    assert!(server.run(&["config", "check"]).0.success());
    let server = Server::start(options);
    let api = crate::client::Api::of(&server);
    let sku = crate::shop::stocked(&api, 1);
    crate::shop::place(&api, &crate::shop::paying(&sku, 1));
}
