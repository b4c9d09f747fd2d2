//! From settings to the journal they name.

#[cfg(feature = "scylla")]
pub use cluster::options;

use crate::settings::{Backend, Settings};
use holdfast_engine::ids::Partitions;
use holdfast_engine::limits;
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{DirectoryLock, Error, Journal, WantedPartitions};
use std::sync::Arc;

/// Opens the journal for writing, an embedded one in the directory that `lock` keeps, if `check` has nothing against what is in it: on a cluster it is then taken over from
/// whoever had it.
///
/// # Errors
/// Whatever keeps it from opening, with what to do about it, or what `check` has against it.
pub fn open<E: From<Error>>(
    settings: &Settings,
    lock: Option<&DirectoryLock>,
    check: impl FnOnce(&dyn Journal) -> Result<(), E>,
) -> Result<Arc<dyn Journal>, E> {
    let partitions = Partitions::new(settings.data.partitions);
    let many = || Error::Incompatible(format!("data.partitions must be 1 to {}", limits::MAX_PARTITIONS));
    let partitions = partitions.ok_or_else(many)?;
    if settings.data.ephemeral {
        return Ok(Arc::new(MemoryJournal::new(partitions)));
    }
    // That of the setting is what was asked for: where it is left out, `Engine` takes no more than there are partitions.
    let wanted = WantedPartitions { if_new: partitions, exactly: settings.data.partitions_named, shards: settings.engine.shards };
    match settings.journal.backend {
        Backend::Embedded => {
            let journal = EmbeddedJournal::open_under(lock.ok_or(Error::Locked)?, wanted, settings.data.reserve_bytes())?;
            check(&journal)?;
            Ok(Arc::new(journal))
        }
        Backend::Scylla => cluster::open(settings, wanted, check),
    }
}

/// Opens the journal to look at it and writes nothing: an embedded one while no server runs on it, one on a cluster at any time.
///
/// # Errors
/// If it is in use, damaged or not there.
pub fn observe(settings: &Settings) -> Result<Arc<dyn Journal>, Error> {
    let dir = &settings.data.dir;
    settings.refuse_backup()?;
    match settings.journal.backend {
        Backend::Embedded if !settings.data.is_there() => {
            Err(Error::Incompatible(format!("{} holds no Holdfast data: name it with --data-dir", dir.display())))
        }
        Backend::Embedded => {
            let any = Partitions::new(64).ok_or(Error::Stopped)?;
            Ok(Arc::new(EmbeddedJournal::observe(dir, any)?))
        }
        Backend::Scylla => cluster::observe(settings),
    }
}

/// The journal on a cluster.
#[cfg(feature = "scylla")]
mod cluster {
    use crate::settings::{Quorum, Scylla, ScyllaTls, Settings};
    use holdfast_storage::cql::{Consistency, CqlJournal, Credentials, Options, Tls};
    use holdfast_storage::{Error, Journal, WantedPartitions};
    use std::sync::Arc;
    use std::time::Duration;

    pub(super) fn open<E: From<Error>>(
        settings: &Settings,
        wanted: WantedPartitions,
        check: impl FnOnce(&dyn Journal) -> Result<(), E>,
    ) -> Result<Arc<dyn Journal>, E> {
        let open = CqlJournal::open_if(&options(settings)?, wanted, |journal| check(journal))?;
        Ok(Arc::new(open))
    }

    pub(super) fn observe(settings: &Settings) -> Result<Arc<dyn Journal>, Error> {
        Ok(Arc::new(CqlJournal::observe(&options(settings)?)?))
    }

    /// What the settings say about the cluster.
    ///
    /// # Errors
    /// If the password file cannot be read.
    pub fn options(settings: &Settings) -> Result<Options, Error> {
        let Scylla {
            nodes,
            keyspace,
            replication,
            local_dc,
            keyspace_options,
            consistency,
            user,
            password_file,
            timeout_ms,
            tls,
        } = settings.scylla.clone();
        let read = |path: &std::path::Path| {
            let unreadable = |error| Error::Unreachable(format!("[scylla] password_file {}: {error}", path.display()));
            std::fs::read_to_string(path).map(|text| text.trim_end().to_owned()).map_err(unreadable)
        };
        let credentials = match (user.as_str(), password_file.as_os_str().is_empty()) {
            ("", _) => None,
            (_, true) => Some(Credentials { user, password: String::new() }),
            (_, false) => Some(Credentials { user, password: read(&password_file)? }),
        };
        let consistency = match consistency {
            Quorum::LocalQuorum => Consistency::LocalQuorum,
            Quorum::Quorum => Consistency::Quorum,
        };
        let timeout = Duration::from_millis(timeout_ms.max(1));
        let ScyllaTls { enabled, ca_file, certificate_file, key_file } = tls;
        let tls = enabled.then_some(Tls { ca_file, certificate_file, key_file });
        let address = settings.server.listen.clone();
        let nodes = nodes.0;
        Ok(Options {
            nodes,
            keyspace,
            replication,
            local_dc,
            keyspace_options,
            consistency,
            credentials,
            tls,
            timeout,
            address,
            ..Options::default()
        })
    }
}

/// A build without it says so.
#[cfg(not(feature = "scylla"))]
mod cluster {
    use crate::settings::Settings;
    use holdfast_storage::{Error, Journal, WantedPartitions};
    use std::sync::Arc;

    pub(super) fn open<E: From<Error>>(
        settings: &Settings,
        _: WantedPartitions,
        _: impl FnOnce(&dyn Journal) -> Result<(), E>,
    ) -> Result<Arc<dyn Journal>, E> {
        Ok(observe(settings)?)
    }

    pub(super) fn observe(_: &Settings) -> Result<Arc<dyn Journal>, Error> {
        Err(Error::Incompatible("this build has no journal on a cluster: build it with the feature `scylla`".to_owned()))
    }
}
