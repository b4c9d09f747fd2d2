//! What settings must be beside their types.
//!
//! Invariant: what `serve` would refuse of the settings, for whatever reason can be known without opening the data or the
//! network, is found here, and all of it at once.

use super::files::{FileInUse, files_in_use};
use super::mistakes::Mistake;
use super::{Backend, Kafka, KafkaProtocol, Loaded, Settings, log_filter, network, ranges};
use crate::keys;
use crate::wire::origin::{Origin, host_and_port, host_of, is_host};
use actix_web::http::Uri;
use holdfast_engine::ids::Url;
use std::net::IpAddr;
use std::path::Path;

/// What a batch has at most where each is a row of a table, and the largest event may follow.
const MOST_KB_ON_CLUSTER: usize = 1024;

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What any command that reads settings refuses.
pub(super) fn values(loaded: &Loaded) -> Vec<Mistake> {
    let mut found = Found { loaded, mistakes: Vec::new() };
    found.engine(&loaded.settings);
    found.cluster(&loaded.settings);
    found.batches(&loaded.settings);
    found.kafka(&loaded.settings.kafka);
    found.orders(&loaded.settings);
    found.ranges(&loaded.settings);
    found.paths(&loaded.settings);
    found.mistakes
}

/// What only `serve` refuses: a key must be possible to make with settings that cannot serve without one.
pub(super) fn serving(loaded: &Loaded) -> Vec<Mistake> {
    let mut found = Found { loaded, mistakes: Vec::new() };
    found.server(&loaded.settings);
    found.sandbox(&loaded.settings);
    found.backup(&loaded.settings);
    found.data(&loaded.settings);
    found.keys(&loaded.settings);
    found.log(&loaded.settings);
    found.files(&loaded.settings);
    found.mistakes
}

/// What can be wrong with settings that are changed while the server runs.
pub(super) fn live(loaded: &Loaded) -> Vec<Mistake> {
    let mut found = Found { loaded, mistakes: Vec::new() };
    found.batches(&loaded.settings);
    found.orders(&loaded.settings);
    found.ranges(&loaded.settings);
    found.log(&loaded.settings);
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
        if settings.engine.shards > usize::from(partitions) && is_count_of_data(settings) {
            let message = format!("must not be more than data.partitions, which is {partitions}");
            self.refuse("engine.shards", message);
        }
    }

    fn cluster(&mut self, settings: &Settings) {
        let scylla = &settings.scylla;
        let keyspace = scylla.keyspace.as_bytes();
        let plain = keyspace.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_');
        let named = plain && keyspace.len() <= 48 && keyspace.first().is_some_and(u8::is_ascii_lowercase);
        self.refuse_unless(named, "scylla.keyspace", "must be 1 to 48 of a-z, 0-9 and _, beginning with a letter");
        self.refuse_unless(!scylla.local_dc.contains('\''), "scylla.local_dc", "is not the name of a data centre");
        self.refuse_unless(
            !scylla.keyspace_options.contains(';'),
            "scylla.keyspace_options",
            "must not end the statement it is put into",
        );
        self.refuse_unless(!scylla.user.contains(char::is_control), "scylla.user", "is not the name of a user");
        self.refuse_unless(!scylla.nodes.0.is_empty(), "scylla.nodes", "needs at least one node");
        for node in scylla.nodes.0.iter().filter(|node| !is_address(node)) {
            self.refuse("scylla.nodes", format!("{node:?} is not HOST or HOST:PORT, as 127.0.0.1:9042"));
        }
        let on_cluster = settings.journal.backend == Backend::Scylla;
        let known = settings.journal.keep_gb == 0 || !on_cluster;
        let message = "a cluster does not say how large its log is: leave it at 0, and use journal.keep_days";
        self.refuse_unless(known, "journal.keep_gb", message);
        let built = cfg!(feature = "scylla") || !on_cluster;
        self.refuse_unless(built, "journal.backend", "this binary was built without the feature scylla");
        let tls = cfg!(feature = "scylla-tls") || !scylla.tls.enabled;
        self.refuse_unless(tls, "scylla.tls.enabled", "this binary was built without the feature scylla-tls");
    }

    /// A batch is one row there, and the nodes refuse a row of more than a part of one of their commit logs.
    fn batches(&mut self, settings: &Settings) {
        let fits = settings.journal.backend != Backend::Scylla || settings.engine.batch_kb <= MOST_KB_ON_CLUSTER;
        let message = format!("must not be more than {MOST_KB_ON_CLUSTER} on a cluster, where a batch is one row");
        self.refuse_unless(fits, "engine.batch_kb", &message);
    }

    fn kafka(&mut self, kafka: &Kafka) {
        let name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let prefix = (1..=200).contains(&kafka.topic_prefix.len()) && kafka.topic_prefix.chars().all(name);
        self.refuse_unless(prefix, "kafka.topic_prefix", "must be 1 to 200 letters, digits, dots, underscores or dashes");
        let group = (1..=200).contains(&kafka.group.len()) && !kafka.group.contains(char::is_control);
        self.refuse_unless(group, "kafka.group", "must be 1 to 200 characters");
        let brokers = kafka.brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty());
        for broker in brokers.filter(|broker| !is_address(broker)) {
            self.refuse("kafka.brokers", format!("{broker:?} is not HOST or HOST:PORT, as 127.0.0.1:9092"));
        }
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
        let listed = security.mechanism.is_empty() || MECHANISMS.contains(&security.mechanism.as_str());
        self.refuse_unless(mechanism && listed, "kafka.security.mechanism", &message);
        self.refuse_unless(!security.user.contains(char::is_control), "kafka.security.user", "is not the name of a user");
        let brokers = !kafka.enabled || kafka.brokers.split(',').any(|broker| !broker.trim().is_empty());
        self.refuse_unless(brokers, "kafka.brokers", "needs at least one broker");
    }

    fn orders(&mut self, settings: &Settings) {
        let orders = &settings.orders;
        let fits = orders.ttl_seconds <= orders.ttl_max_seconds;
        let message = format!("must not be more than orders.ttl_max_seconds, which is {}", orders.ttl_max_seconds);
        self.refuse_unless(fits, "orders.ttl_seconds", &message);
    }

    fn ranges(&mut self, settings: &Settings) {
        for (key, value, range) in ranges::all(settings) {
            if let Some(message) = ranges::outside(value, &range) {
                self.refuse(key, message);
            }
        }
    }

    /// What no system takes for a path.
    fn paths(&mut self, settings: &Settings) {
        let (scylla, kafka) = (&settings.scylla, &settings.kafka.security);
        let paths = [
            ("data.dir", settings.data.dir.as_path()),
            ("backup.dir", &settings.backup.dir),
            ("scylla.password_file", &scylla.password_file),
            ("scylla.tls.ca_file", &scylla.tls.ca_file),
            ("scylla.tls.certificate_file", &scylla.tls.certificate_file),
            ("scylla.tls.key_file", &scylla.tls.key_file),
            ("kafka.security.ca_file", Path::new(&kafka.ca_file)),
            ("kafka.security.certificate_file", Path::new(&kafka.certificate_file)),
            ("kafka.security.key_file", Path::new(&kafka.key_file)),
            ("kafka.security.password_file", Path::new(&kafka.password_file)),
        ];
        for (key, path) in paths {
            self.refuse_unless(!path.as_os_str().as_encoded_bytes().contains(&0), key, "is no path: it has a zero byte");
        }
        self.refuse_unless(
            !settings.data.dir.as_os_str().is_empty(),
            "data.dir",
            "must name a directory, as data or /var/lib/holdfast",
        );
    }

    /// A directory is made where there is none, but not in place of a file.
    fn data(&mut self, settings: &Settings) {
        let dir = &settings.data.dir;
        if let Some(file) = dir.ancestors().find(|path| path.exists()).filter(|path| !settings.data.ephemeral && !path.is_dir()) {
            self.refuse("data.dir", format!("{}: {} is no directory", dir.display(), file.display()));
        }
    }

    fn listens(&mut self, key: &str, listen: &str, settings: &Settings) {
        let host = address(listen);
        self.refuse_unless(host.is_some_and(is_host), key, &format!("{listen:?} is not HOST:PORT, as 127.0.0.1:8080"));
        if host.and_then(|host| host.parse::<IpAddr>().ok()).is_some_and(|host| !host.is_loopback()) && !guarded(settings) {
            let message = format!(
                "refusing to listen on {listen} without API keys: whoever reaches the port could do everything\n    \
                 make one with `holdfast key new`, or say --insecure (server.insecure = true) if the network is yours alone"
            );
            self.refuse(key, message);
        }
    }

    fn server(&mut self, settings: &Settings) {
        self.listens("server.listen", &settings.server.listen, settings);
        if settings.admin.is_apart() {
            self.listens("admin.listen", &settings.admin.listen, settings);
            let other = settings.admin.listen != settings.server.listen || settings.admin.listen.ends_with(":0");
            self.refuse_unless(other, "admin.listen", "must be another address than server.listen");
        }
        for proxy in settings.server.trusted_proxies.0.iter().filter(|proxy| network::parse(proxy).is_none()) {
            self.refuse("server.trusted_proxies", format!("{proxy:?} is neither an address nor a network, as 10.0.0.0/8"));
        }
        for host in settings.server.hosts.0.iter().filter(|host| !is_host(host)) {
            self.refuse("server.hosts", format!("{host:?} is not the name of a host, without scheme and port"));
        }
        for origin in settings.server.origins.0.iter().filter(|origin| Origin::parse(origin).is_none()) {
            self.refuse(
                "server.origins",
                format!("{origin:?} is not an origin of web pages, as https://shop.example: no path, no *"),
            );
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
            if let Err(error) = keys::usable(entry, "") {
                self.refuse("auth.keys", error.to_string());
            }
        }
        if let Err(reason) = stored_keys(settings) {
            self.refuse("data.dir", reason);
        }
    }

    fn log(&mut self, settings: &Settings) {
        if let Err(message) = log_filter::parse(&settings.log.level) {
            self.refuse("log.level", message);
        }
        let endpoint = &settings.telemetry.otlp_endpoint;
        let plain = endpoint.starts_with("http://") && is_base_url(endpoint);
        let message = "is not http://HOST:PORT; for anything else run a collector beside the server";
        self.refuse_unless(endpoint.is_empty() || plain, "telemetry.otlp_endpoint", message);
        let built = cfg!(feature = "otel") || endpoint.is_empty();
        self.refuse_unless(built, "telemetry.otlp_endpoint", "this binary was built without the feature otel");
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
    data.partitions_named || data.ephemeral || settings.journal.backend == Backend::Embedded && !data.is_there()
}

/// Whether one path is below another, by whatever names they are called.
fn is_inside(path: &Path, dir: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    whole(path).starts_with(whole(dir))
}

/// What is wrong with the keys of the data directory. Of one that no server takes as it is, that is said, and nothing of keys: they
/// would be made in vain.
fn stored_keys(settings: &Settings) -> Result<(), String> {
    settings.refuse_backup().map_err(|error| error.to_string())?;
    if settings.data.ephemeral || settings.refuse_unfinished().is_err() {
        return Ok(());
    }
    keys::file::served(&settings.data.dir).map(drop).map_err(|error| error.to_string())
}

/// Whether callers need a key, or the operator does without.
fn guarded(settings: &Settings) -> bool {
    let stored = !settings.data.ephemeral && keys::file::read(&settings.data.dir).is_ok_and(|keys| keys.is_some());
    settings.server.insecure || stored || !settings.auth.keys.is_empty()
}

/// The host of HOST:PORT.
fn address(text: &str) -> Option<&str> {
    let (_, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    host_of(text)
}

/// A host, with a port or without one.
fn is_address(text: &str) -> bool {
    host_and_port(text).is_some_and(|(host, _)| is_host(host)) || is_host(text)
}

/// Whether buyers and webhooks can be sent to pages below this URL, the longest of them included.
fn is_base_url(text: &str) -> bool {
    let plain = text.parse::<Uri>().is_ok_and(|url| url.query().is_none()) && !text.contains('#');
    let page = format!("{}/sandbox/payments/{}", text.trim_end_matches('/'), "x".repeat(128));
    plain && Origin::of_url(text).is_some() && Url::new(&page).is_some()
}
