//! Guides to backups of a running server that were not made.

use super::Guide;
use crate::http::problem::{Code, Problem};

pub(super) const BACKUP_UNAVAILABLE: Guide = Guide {
    meaning: "This server has no place for backups, or its journal is not on its own disk.",
    causes: &[
        "`backup.dir` is not set. The caller of a backup names no path, so the operator has to.",
        "The journal is on a cluster, whose nodes hold the data.",
    ],
    cures: &["`holdfast backup --to DIR` copies the data of a server that does not run, without any setting."],
    example: || Problem::new(Code::BackupUnavailable, "backup.dir is not set: this server has no place for backups"),
};

pub(super) const BACKUP_IN_PROGRESS: Guide = Guide {
    meaning: "Another backup is being made to the same place. This request has started none.",
    causes: &["Two schedules call the same server, or a caller gave up waiting and asked again: the first backup goes on."],
    cures: &["A backup takes about as long as POST /admin/v1/audit: give the call a long timeout."],
    example: || Problem::new(Code::BackupInProgress, "another backup is being made"),
};

pub(super) const INSUFFICIENT_STORAGE: Guide = Guide {
    meaning: "The disk of `backup.dir` has too little room for a backup beside what the journal needs there.",
    causes: &["Older backups fill the disk.", "`backup.dir` is on the disk of the data directory, which is nearly full."],
    cures: &["Delete backups you no longer need, whole directories at a time: none of them stands on another."],
    example: || Problem::new(Code::InsufficientStorage, "there is no room for a backup: nothing was left behind"),
};
