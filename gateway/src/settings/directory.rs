//! What the data directory is, by the names in it, before anything is opened.
//!
//! Invariant: what no server takes as it is, is told from a data directory that lacks something.

use super::{Backend, Settings};
use holdfast_storage::backup::Manifest;
use holdfast_storage::{Error, embedded};

impl Settings {
    /// A backup is not served: it would no longer be what it says.
    ///
    /// # Errors
    /// If the data directory is one, with what to do.
    pub fn refuse_backup(&self) -> Result<(), Error> {
        let dir = &self.data.dir;
        if !self.keeps_data_here() || !Manifest::is_in(dir) {
            return Ok(());
        }
        Err(Error::Incompatible(format!(
            "{} is a backup, not a data directory\n  `holdfast restore --from` it into an empty one",
            dir.display()
        )))
    }

    /// What a restore left half done is not made whole by anything else that a start asks for.
    ///
    /// # Errors
    /// If the data directory is so, with what to do.
    pub fn refuse_unfinished(&self) -> Result<(), Error> {
        if self.keeps_data_here() { embedded::refuse_unfinished(&self.data.dir) } else { Ok(()) }
    }

    fn keeps_data_here(&self) -> bool {
        !self.data.ephemeral && self.journal.backend == Backend::Embedded
    }
}
