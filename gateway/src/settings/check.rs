//! What settings must be beside their types.
//!
//! Invariant: what `serve` would refuse of the settings, for whatever reason can be known without opening the data or the
//! network, is found here, and all of it at once.

use super::files::{FileInUse, files_in_use};
use super::mistakes::Mistake;
use super::{Backend, Kafka, KafkaProtocol, Loaded, Settings};
use crate::{access, backend, keys, telemetry};
use actix_web::http::Uri;
use holdfast_engine::limits;
use std::net::IpAddr;
use std::path::Path;

/// No time may be longer: sums of times must not leave what a clock can say.
const LONGEST_SECONDS: u64 = 30 * limits::MAX_TTL_MS / 1000;

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What any command that reads settings refuses.
pub(super) fn values(loaded: &Loaded) -> Vec<Mistake> {
    let mut found = Found { loaded, mistakes: Vec::new() };
    found.engine(&loaded.settings);
    found.cluster(&loaded.settings);
    found.kafka(&loaded.settings.kafka);
    found.times(&loaded.settings);
    found.mistakes
}

/// What only `serve` refuses: a key must be possible to make with settings that cannot serve without one.
pub(super) fn serving(loaded: &Loaded) -> Vec<Mistake> {
    let mut found = Found { loaded, mistakes: Vec::new() };
    found.server(&loaded.settings);
    found.sandbox(&loaded.settings);
    found.backup(&loaded.settings);
    found.keys(&loaded.settings);
    found.log(&loaded.settings);
    found.files(&loaded.settings);
    found.mistakes
}

struct Found<'a> {
    loaded: &'a Loaded,
    mistakes: Vec<Mistake>,
}

impl Found<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.loaded.origins.get(key).map(String::as_str);
        self.mistakes.push(Mistake::new(origin, key, message));
    }

    fn refuse_unless(&mut self, good: bool, key: &str, message: &str) {
        if !good {
            self.refuse(key, message);
        }
    }

    fn engine(&mut self, settings: &Settings) {
        let partitions = settings.data.partitions;
        self.refuse_unless((1..=4096).contains(&partitions), "data.partitions", "must be 1 to 4096");
        if settings.engine.shards > usize::from(partitions) && is_count_of_data(settings) {
            let message = format!("must not be more than data.partitions, which is {partitions}");
            self.refuse("engine.shards", message);
        }
        self.refuse_unless(settings.engine.credits > 0, "engine.credits", "must be at least 1");
    }

    fn cluster(&mut self, settings: &Settings) {
        let scylla = &settings.scylla;
        let keyspace = scylla.keyspace.as_bytes();
        let plain = keyspace.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_');
        let named = plain && keyspace.len() <= 48 && keyspace.first().is_some_and(u8::is_ascii_lowercase);
        self.refuse_unless(named, "scylla.keyspace", "must be 1 to 48 of a-z, 0-9 and _, beginning with a letter");
        self.refuse_unless(!scylla.local_dc.contains('\''), "scylla.local_dc", "is not the name of a data centre");
        self.refuse_unless(!scylla.nodes.0.is_empty(), "scylla.nodes", "needs at least one node");
        self.refuse_unless(scylla.replication > 0, "scylla.replication", "must be at least 1");
        let on_cluster = settings.journal.backend == Backend::Scylla;
        let kept = settings.journal.keep_days == 0 || on_cluster;
        let message = "the embedded journal keeps everything: leave it at 0, or use backend = \"scylla\"";
        self.refuse_unless(kept, "journal.keep_days", message);
        self.refuse_unless(settings.journal.scrub_hours <= 8784, "journal.scrub_hours", "must be at most 8784, a year; 0: never");
        let built = cfg!(feature = "scylla") || !on_cluster;
        self.refuse_unless(built, "journal.backend", "this binary was built without the feature scylla");
        let tls = cfg!(feature = "scylla-tls") || !scylla.tls.enabled;
        self.refuse_unless(tls, "scylla.tls.enabled", "this binary was built without the feature scylla-tls");
    }

    fn kafka(&mut self, kafka: &Kafka) {
        let name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let prefix = (1..=200).contains(&kafka.topic_prefix.len()) && kafka.topic_prefix.chars().all(name);
        self.refuse_unless(prefix, "kafka.topic_prefix", "must be 1 to 200 letters, digits, dots, underscores or dashes");
        self.refuse_unless((1..=4096).contains(&kafka.topic_partitions), "kafka.topic_partitions", "must be 1 to 4096");
        self.refuse_unless((1..=16).contains(&kafka.replication), "kafka.replication", "must be 1 to 16");
        self.refuse_unless((1..=10_000_000).contains(&kafka.queue_events), "kafka.queue_events", "must be 1 to 10000000");
        self.refuse_unless((1..=200).contains(&kafka.group.len()), "kafka.group", "must be 1 to 200 characters");
        let published = !kafka.payment_results || kafka.enabled;
        self.refuse_unless(published, "kafka.payment_results", "needs kafka.enabled = true");
        let built = cfg!(feature = "kafka") || !kafka.enabled;
        self.refuse_unless(built, "kafka.enabled", "this binary was built without the feature kafka");
        let security = &kafka.security;
        let plain = security.protocol == KafkaProtocol::Plaintext;
        let message = "this binary was built without the feature kafka-tls";
        self.refuse_unless(plain || cfg!(feature = "kafka-tls"), "kafka.security.protocol", message);
        let sasl = matches!(security.protocol, KafkaProtocol::SaslPlaintext | KafkaProtocol::SaslSsl);
        let mechanism = !sasl || MECHANISMS.contains(&security.mechanism.as_str());
        let message = format!("must be one of {}", MECHANISMS.join(", "));
        self.refuse_unless(mechanism, "kafka.security.mechanism", &message);
        let brokers = !kafka.enabled || kafka.brokers.split(',').any(|broker| !broker.trim().is_empty());
        self.refuse_unless(brokers, "kafka.brokers", "needs at least one broker");
    }

    fn times(&mut self, settings: &Settings) {
        let (server, payments) = (&settings.server, &settings.payments);
        let seconds = [
            ("server.drain_seconds", server.drain_seconds),
            ("server.answer_wait_seconds", server.answer_wait_seconds),
            ("server.drain_notice_seconds", server.drain_notice_seconds),
            ("server.body_timeout_seconds", server.body_timeout_seconds),
            ("payments.pin_seconds", payments.pin_seconds),
            ("payments.query_after_seconds", payments.query_after_seconds),
            ("payments.query_max_seconds", payments.query_max_seconds),
            ("payments.unknown_max_seconds", payments.unknown_max_seconds),
            ("payments.decline_grace_seconds", payments.decline_grace_seconds),
            ("payments.call_timeout_seconds", payments.call_timeout_seconds),
            ("kafka.flush_seconds", settings.kafka.flush_seconds),
            ("scylla.timeout_ms", settings.scylla.timeout_ms / 1000),
        ];
        for (key, seconds) in seconds {
            self.refuse_unless(seconds <= LONGEST_SECONDS, key, "must not be longer than 30 days");
        }
    }

    fn server(&mut self, settings: &Settings) {
        let listen = &settings.server.listen;
        let host = address(listen);
        self.refuse_unless(host.is_some(), "server.listen", &format!("{listen:?} is not HOST:PORT, as 127.0.0.1:8080"));
        if host.and_then(|host| host.parse::<IpAddr>().ok()).is_some_and(|host| !host.is_loopback()) && !guarded(settings) {
            let message = format!(
                "refusing to listen on {listen} without API keys: whoever reaches the port could do everything\n    \
                 make one with `holdfast key new`, or say --insecure (server.insecure = true) if the network is yours alone"
            );
            self.refuse("server.listen", message);
        }
        let message = "must be at least 1: a body that never comes would be waited for for ever";
        self.refuse_unless(settings.server.body_timeout_seconds > 0, "server.body_timeout_seconds", message);
        for host in settings.server.hosts.0.iter().filter(|host| !is_host(host)) {
            self.refuse("server.hosts", format!("{host:?} is not the name of a host, without scheme and port"));
        }
    }

    fn sandbox(&mut self, settings: &Settings) {
        let url = &settings.sandbox.public_url;
        let message = format!("{url:?} is not an http or https URL without a query, as https://shop.example");
        self.refuse_unless(url.is_empty() || is_base_url(url), "sandbox.public_url", &message);
    }

    fn backup(&mut self, settings: &Settings) {
        let (dir, data) = (&settings.backup.dir, &settings.data.dir);
        let message = format!("{} is in the data directory: a backup must outlive it, best on another disk", dir.display());
        self.refuse_unless(dir.as_os_str().is_empty() || !is_inside(dir, data), "backup.dir", &message);
        let file = dir.exists() && !dir.is_dir();
        self.refuse_unless(!file, "backup.dir", &format!("{} is no directory", dir.display()));
    }

    fn keys(&mut self, settings: &Settings) {
        for entry in &settings.auth.keys {
            if let Err(error) = keys::parse(entry) {
                self.refuse("auth.keys", error.to_string());
            }
        }
    }

    fn log(&mut self, settings: &Settings) {
        if let Err(message) = telemetry::filter(&settings.log.level) {
            self.refuse("log.level", message);
        }
    }

    fn files(&mut self, settings: &Settings) {
        for FileInUse { key, path, .. } in files_in_use(settings) {
            if let Err(reason) = std::fs::File::open(&path).and_then(|mut file| std::io::Read::read(&mut file, &mut [0])) {
                self.refuse(key, format!("{} cannot be read: {reason}", path.display()));
            }
        }
    }
}

/// Whether the data has as many partitions as the settings say: data that is there may have others, unless a number is named.
fn is_count_of_data(settings: &Settings) -> bool {
    let data = &settings.data;
    data.partitions_named || data.ephemeral || settings.journal.backend == Backend::Embedded && !backend::has_data(settings)
}

/// Whether one path is below another, by whatever names they are called.
fn is_inside(path: &Path, dir: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    whole(path).starts_with(whole(dir))
}

/// Whether callers need a key, or the operator does without.
fn guarded(settings: &Settings) -> bool {
    let stored = !settings.data.ephemeral && keys::any_in(&settings.data.dir);
    settings.server.insecure || stored || !settings.auth.keys.is_empty()
}

/// The host of HOST:PORT.
fn address(text: &str) -> Option<&str> {
    let (_, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    access::host_of(text)
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    text.parse::<IpAddr>().is_ok() || text.bytes().all(plain)
}

fn is_base_url(text: &str) -> bool {
    let Ok(url) = text.parse::<Uri>() else { return false };
    matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty()) && url.query().is_none()
}
