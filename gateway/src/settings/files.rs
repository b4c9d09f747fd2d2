//! Files of the operator that settings name: they must be readable, and those with a secret not by everybody.

use super::{Backend, KafkaProtocol, Settings};
use holdfast_storage::private;
use std::path::{Path, PathBuf};

pub(super) struct FileInUse {
    pub(super) key: &'static str,
    pub(super) path: PathBuf,
    pub(super) secret: bool,
}

/// Those that a server with these settings reads.
pub(super) fn files_in_use(settings: &Settings) -> Vec<FileInUse> {
    let (scylla, kafka) = (&settings.scylla, &settings.kafka.security);
    let on_cluster = settings.journal.backend == Backend::Scylla && !settings.data.ephemeral;
    let logs_in = on_cluster && !scylla.user.is_empty();
    let tls = on_cluster && scylla.tls.enabled;
    let secured = settings.kafka.enabled && kafka.protocol != KafkaProtocol::Plaintext;
    let all = [
        (logs_in, "scylla.password_file", scylla.password_file.as_path(), true),
        (tls, "scylla.tls.ca_file", &scylla.tls.ca_file, false),
        (tls, "scylla.tls.certificate_file", &scylla.tls.certificate_file, false),
        (tls, "scylla.tls.key_file", &scylla.tls.key_file, true),
        (secured, "kafka.security.ca_file", Path::new(&kafka.ca_file), false),
        (secured, "kafka.security.certificate_file", Path::new(&kafka.certificate_file), false),
        (secured, "kafka.security.key_file", Path::new(&kafka.key_file), true),
        (secured, "kafka.security.password_file", Path::new(&kafka.password_file), true),
    ];
    let used = all.into_iter().filter(|(used, _, path, _)| *used && !path.as_os_str().is_empty());
    used.map(|(_, key, path, secret)| FileInUse { key, path: path.to_owned(), secret }).collect()
}

/// They are not ours to change, so whoever runs the server is told.
pub fn warn_of_open_secrets(settings: &Settings) {
    for file in files_in_use(settings).iter().filter(|file| file.secret && private::is_world_readable(&file.path)) {
        tracing::warn!("{}: everybody on this machine can read {}: chmod o= it", file.key, file.path.display());
    }
}
