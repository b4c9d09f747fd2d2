//! Where the cluster is and how it is asked.

use scylla::statement::{Consistency as Read, SerialConsistency};
use std::path::PathBuf;
use std::time::Duration;

/// How many replicas must agree. The same for every process that shares a keyspace: conditional updates that are serial in
/// one data centre and those that are serial in all of them do not see each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// A majority of the local data centre.
    #[default]
    LocalQuorum,
    /// A majority of all replicas in all data centres.
    Quorum,
}

impl Consistency {
    pub(super) fn plain(self) -> Read {
        match self {
            Self::LocalQuorum => Read::LocalQuorum,
            Self::Quorum => Read::Quorum,
        }
    }

    pub(super) fn serial(self) -> SerialConsistency {
        match self {
            Self::LocalQuorum => SerialConsistency::LocalSerial,
            Self::Quorum => SerialConsistency::Serial,
        }
    }

    pub(super) fn serial_read(self) -> Read {
        match self {
            Self::LocalQuorum => Read::LocalSerial,
            Self::Quorum => Read::Serial,
        }
    }
}

/// A name and what it is let in with.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Files in PEM format; an empty path means none.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Who signs the certificates of the nodes. Empty: whoever the system trusts.
    pub ca_file: PathBuf,
    /// Where nodes ask who is calling.
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// See the module.
#[derive(Clone)]
pub struct Options {
    /// `host:port` of some nodes; the others are learned from them.
    pub nodes: Vec<String>,
    pub keyspace: String,
    /// Copies of each row: in the local data centre if it is named, else in each.
    pub replication: u32,
    /// Empty: whichever the nodes are in.
    pub local_dc: String,
    /// CQL put behind the options of a new keyspace, such as `AND tablets = {'enabled': false}`.
    pub keyspace_options: String,
    pub consistency: Consistency,
    pub credentials: Option<Credentials>,
    /// None: in the clear.
    pub tls: Option<Tls>,
    /// How long a statement may take before its outcome counts as unknown. Above the write time-out of the servers.
    pub timeout: Duration,
    /// Batches after which a log goes on in the next segment. A segment is a CQL partition: read, repaired and purged whole.
    pub segment_batches: u64,
    /// Shown to whoever looks who owns a partition.
    pub address: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "holdfast".to_owned(),
            replication: 3,
            local_dc: String::new(),
            keyspace_options: String::new(),
            consistency: Consistency::default(),
            credentials: None,
            tls: None,
            timeout: Duration::from_secs(3),
            segment_batches: 4096,
            address: String::new(),
        }
    }
}
