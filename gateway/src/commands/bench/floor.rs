//! What the disk takes of the same bytes without the engine: as many writes of the same mean size, each synced before the next.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::Instant;

pub(super) struct Floor {
    pub(super) seconds: f64,
}

impl Floor {
    /// The blocks are there before the clock runs, as those of the log are.
    pub(super) fn of(dir: &Path, bytes: u64, commits: u64) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(dir)?;
        let size = usize::try_from(bytes / commits.max(1)).unwrap_or(usize::MAX).max(1);
        let write = vec![0x5a; size];
        let all = |file: &mut File, sync: bool| -> io::Result<()> {
            file.rewind()?;
            for _ in 0..commits {
                file.write_all(&write)?;
                if sync {
                    file.sync_data()?;
                }
            }
            file.sync_all()
        };
        all(&mut file, false)?;
        let begun = Instant::now();
        all(&mut file, true)?;
        Ok(Self { seconds: begun.elapsed().as_secs_f64() })
    }
}
