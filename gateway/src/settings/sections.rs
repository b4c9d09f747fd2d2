//! The sections of the settings, with their defaults.
//!
//! Invariant: what a key means and what it is by default is said in `config/holdfast.toml`; a test holds the two together.

use super::console::Console;
use super::rates::Limits;
use super::telemetry::{Log, Telemetry};
use super::values::{CommaList, Switch};
use crate::keys::KeyEntry;
use holdfast_actors::Knobs;
use holdfast_engine::limits;
use holdfast_engine::time::{LatePayment, Policy};
use holdfast_storage::embedded::RESERVE;
use holdfast_storage::retention;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub server: Server,
    pub admin: Admin,
    pub data: Data,
    pub backup: Backup,
    pub journal: Journal,
    pub scylla: Scylla,
    pub engine: Engine,
    pub orders: Orders,
    pub holds: Holds,
    pub payments: Payments,
    pub sandbox: Sandbox,
    pub kafka: Kafka,
    pub auth: Auth,
    pub limits: Limits,
    pub console: Console,
    pub log: Log,
    pub telemetry: Telemetry,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub listen: String,
    pub workers: usize,
    pub max_connections: usize,
    pub body_timeout_seconds: u64,
    pub body_seconds: u64,
    pub body_min_bytes_per_second: u64,
    pub bodies_mb: u64,
    pub drain_notice_seconds: u64,
    pub drain_seconds: u64,
    pub answer_wait_seconds: u64,
    pub key_share_percent: u8,
    pub trusted_proxies: CommaList,
    pub max_streams: usize,
    pub stream_patience_seconds: u64,
    pub insecure: bool,
    pub hosts: CommaList,
    pub origins: CommaList,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Empty: operators are served beside the API.
    pub listen: String,
}

impl Admin {
    /// Whether operators have an address of their own.
    pub fn is_apart(&self) -> bool {
        !self.listen.is_empty()
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    pub dir: PathBuf,
    pub partitions: u16,
    pub ephemeral: bool,
    pub demo: bool,
    pub reserve_mb: u64,
    /// Whether somebody named the number of partitions: then data with another number is refused.
    #[serde(skip)]
    pub partitions_named: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Empty: a running server makes none.
    pub dir: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    pub backend: Backend,
    pub keep_days: u32,
    pub keep_gb: u32,
    pub scrub_hours: u32,
}

impl Default for Journal {
    fn default() -> Self {
        Self { backend: Backend::default(), keep_days: 0, keep_gb: 0, scrub_hours: 24 }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    #[default]
    Embedded,
    Scylla,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scylla {
    pub nodes: CommaList,
    pub keyspace: String,
    pub replication: u32,
    pub local_dc: String,
    pub keyspace_options: String,
    pub consistency: Quorum,
    pub user: String,
    pub password_file: PathBuf,
    pub timeout_ms: u64,
    pub tls: ScyllaTls,
}

/// Files in PEM format.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScyllaTls {
    pub enabled: bool,
    pub ca_file: PathBuf,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Quorum {
    #[default]
    LocalQuorum,
    Quorum,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    pub shards: usize,
    pub credits: usize,
    pub snapshot_events: u64,
    pub batch_kb: usize,
    pub commits_in_flight: usize,
    pub memory_ahead_mb: u64,
}

/// Which new orders and reservations are taken.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orders {
    pub accepting: bool,
    pub ttl_seconds: u64,
    pub ttl_max_seconds: u64,
}

/// How far holds may be extended.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Holds {
    pub max_life_seconds: u64,
    pub max_extensions: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    pub pin_seconds: u64,
    pub query_after_seconds: u64,
    pub query_max_seconds: u64,
    pub unknown_max_seconds: u64,
    pub decline_grace_seconds: u64,
    pub call_timeout_seconds: u64,
    /// `rehold` or `refund`.
    pub late_payment: Late,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    Rehold,
    Refund,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    pub enabled: Switch,
    /// Base of the URLs the sandbox calls and redirects to; empty for the server's own address.
    pub public_url: String,
    pub replay_window_seconds: u64,
}

impl Sandbox {
    /// Where keys guard the rest, a provider that anybody can tell to pay must be asked for.
    pub fn is_on(&self, has_keys: bool) -> bool {
        match self.enabled {
            Switch::Auto => !has_keys,
            Switch::On => true,
            Switch::Off => false,
        }
    }
}

/// Publishing to Kafka.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    pub enabled: bool,
    pub brokers: String,
    pub topic_prefix: String,
    pub topic_partitions: u16,
    pub replication: u16,
    pub queue_events: u32,
    pub flush_seconds: u64,
    pub payment_results: bool,
    pub group: String,
    pub security: KafkaSecurity,
}

/// How brokers and server know each other. Empty: not used.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSecurity {
    pub protocol: KafkaProtocol,
    pub ca_file: String,
    pub certificate_file: String,
    pub key_file: String,
    pub mechanism: String,
    pub user: String,
    pub password_file: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum KafkaProtocol {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    pub keys: Vec<KeyEntry>,
    pub own_orders: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            workers: 0,
            max_connections: 50_000,
            body_timeout_seconds: 30,
            body_seconds: 60,
            body_min_bytes_per_second: 1_024,
            bodies_mb: 256,
            drain_notice_seconds: 1,
            drain_seconds: 30,
            answer_wait_seconds: 10,
            key_share_percent: 50,
            trusted_proxies: CommaList::default(),
            max_streams: 1024,
            stream_patience_seconds: 30,
            insecure: false,
            hosts: CommaList::default(),
            origins: CommaList::default(),
        }
    }
}

impl Server {
    /// Bytes that all bodies in hand may have.
    pub fn bodies_bytes(&self) -> usize {
        usize::try_from(self.bodies_mb).unwrap_or(usize::MAX).saturating_mul(1 << 20)
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("data"),
            partitions: 64,
            ephemeral: false,
            demo: true,
            reserve_mb: RESERVE >> 20,
            partitions_named: false,
        }
    }
}

impl Data {
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve_mb.max(1).saturating_mul(1 << 20)
    }

    /// Whether there is data of the embedded journal, as far as one may look.
    pub fn is_there(&self) -> bool {
        // One that a restore has not put together yet opens with the words that say so.
        ["holdfast.meta", "holdfast.meta.restoring"].iter().any(|name| self.dir.join(name).exists())
    }
}

impl Default for Scylla {
    fn default() -> Self {
        Self {
            nodes: CommaList(vec!["127.0.0.1:9042".to_owned()]),
            keyspace: "holdfast".to_owned(),
            replication: 3,
            local_dc: String::new(),
            keyspace_options: String::new(),
            consistency: Quorum::LocalQuorum,
            user: String::new(),
            password_file: PathBuf::new(),
            timeout_ms: 3_000,
            tls: ScyllaTls::default(),
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self { shards: 0, credits: 32_768, snapshot_events: 100_000, batch_kb: 1024, commits_in_flight: 2, memory_ahead_mb: 1024 }
    }
}

impl Default for Orders {
    fn default() -> Self {
        Self { accepting: true, ttl_seconds: limits::DEFAULT_TTL_MS / 1000, ttl_max_seconds: limits::MAX_TTL_MS / 1000 }
    }
}

impl Default for Holds {
    fn default() -> Self {
        Self { max_life_seconds: limits::DEFAULT_LIFE_MS / 1000, max_extensions: limits::DEFAULT_EXTENSIONS }
    }
}

impl Default for Payments {
    fn default() -> Self {
        Self {
            pin_seconds: 1_200,
            query_after_seconds: 10,
            query_max_seconds: 60,
            unknown_max_seconds: 86_400,
            decline_grace_seconds: 60,
            call_timeout_seconds: 5,
            late_payment: Late::Rehold,
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { enabled: Switch::Auto, public_url: String::new(), replay_window_seconds: 300 }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            enabled: false,
            brokers: "127.0.0.1:9092".to_owned(),
            topic_prefix: "holdfast".to_owned(),
            topic_partitions: 8,
            replication: 1,
            queue_events: 50_000,
            flush_seconds: 10,
            payment_results: false,
            group: "holdfast".to_owned(),
            security: KafkaSecurity::default(),
        }
    }
}

impl Settings {
    pub fn retention(&self) -> retention::Options {
        let Journal { keep_days, keep_gb, .. } = self.journal;
        retention::Options {
            age: (keep_days > 0).then(|| Duration::from_secs(86_400 * u64::from(keep_days))),
            bytes: (keep_gb > 0).then_some(u64::from(keep_gb) << 30),
            publishes: self.kafka.enabled,
        }
    }

    /// What of them the engine takes while it runs.
    pub fn knobs(&self) -> Knobs {
        let Engine { credits, snapshot_events, batch_kb, commits_in_flight, .. } = self.engine;
        Knobs {
            credits,
            client_percent: self.server.key_share_percent,
            snapshot_events,
            batch_bytes: batch_kb.saturating_mul(1024),
            commits_in_flight,
            provider_timeout: Duration::from_secs(self.payments.call_timeout_seconds.max(1)),
            policy: self.policy(),
        }
    }

    pub fn policy(&self) -> Policy {
        let payments = &self.payments;
        Policy {
            pin_ms: payments.pin_seconds * 1000,
            query_after_ms: payments.query_after_seconds * 1000,
            query_max_ms: payments.query_max_seconds.max(1) * 1000,
            unknown_max_ms: payments.unknown_max_seconds * 1000,
            decline_grace_ms: payments.decline_grace_seconds * 1000,
            late_payment: match payments.late_payment {
                Late::Rehold => LatePayment::Rehold,
                Late::Refund => LatePayment::Refund,
            },
            max_ttl_ms: self.orders.ttl_max_seconds * 1000,
            max_life_ms: self.holds.max_life_seconds * 1000,
            max_extensions: self.holds.max_extensions,
            ..Policy::default()
        }
    }
}
