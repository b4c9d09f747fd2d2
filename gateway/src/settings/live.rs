//! The settings that can be changed while the server runs.
//!
//! Invariant: whoever uses one of these reads it from what is tuned, and not from what the server was started with.

/// A setting with what a change of it does.
#[derive(Debug)]
pub struct Knob {
    /// `section.key`.
    pub key: &'static str,
    pub effect: &'static str,
}

const SAGAS: &str = "Counts for what is decided from now on; what was decided keeps the times it was given.";

/// The one that moves partitions.
pub const SHARDS: &str = "engine.shards";

/// All of them, in the order of the sections.
#[rustfmt::skip]
pub const KNOBS: [Knob; 19] = [
    Knob { key: "server.key_share_percent", effect: "Counts for new requests; what a client has in hand stays." },
    Knob { key: SHARDS, effect: "Partitions move one after the other while orders go on; those to one that moves wait for some milliseconds." },
    Knob { key: "engine.credits", effect: "Counts for new requests: they get 503 while a shard has so many in hand. Nothing in hand is taken back." },
    Knob { key: "engine.snapshot_events", effect: "Counts from the next batch on." },
    Knob { key: "engine.batch_kb", effect: "Counts from the next batch on." },
    Knob { key: "engine.commits_in_flight", effect: "Counts from the next batch on." },
    Knob { key: "orders.accepting", effect: "False: new orders and reservations get 503 paused; true: they are taken. What is placed goes on." },
    Knob { key: "orders.ttl_seconds", effect: "Counts for new orders, reservations and extensions that do not say how long." },
    Knob { key: "orders.ttl_max_seconds", effect: "Counts for new orders, reservations and extensions." },
    Knob { key: "holds.max_life_seconds", effect: "Counts for the next extension of each hold." },
    Knob { key: "holds.max_extensions", effect: "Counts for the next extension of each hold." },
    Knob { key: "payments.pin_seconds", effect: SAGAS },
    Knob { key: "payments.query_after_seconds", effect: SAGAS },
    Knob { key: "payments.query_max_seconds", effect: SAGAS },
    Knob { key: "payments.unknown_max_seconds", effect: SAGAS },
    Knob { key: "payments.decline_grace_seconds", effect: SAGAS },
    Knob { key: "payments.call_timeout_seconds", effect: "Counts from the next call on." },
    Knob { key: "payments.late_payment", effect: "Counts for money that comes late from now on." },
    Knob { key: "log.level", effect: "Counts at once." },
];

/// How another value of a key comes into force, as answers and tables name it.
pub fn change(key: &str) -> &'static str {
    if knob(key).is_some() { "live" } else { "restart" }
}

/// The one of this key.
pub fn knob(key: &str) -> Option<&'static Knob> {
    KNOBS.iter().find(|knob| knob.key == key)
}
