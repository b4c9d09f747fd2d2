//! Files that the process may have open, and how many of them may be connections.
//!
//! Invariant: whatever clients do, the log, the tables, brokers and nodes find files left for them: connections are never more than
//! the limit of the system leaves beside those.

use holdfast_storage::embedded::TABLE_FILES;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept back: files of tables, and what else a process has open at most: its log and the files it makes, threads, brokers, the nodes of
/// a cluster.
const KEPT: u64 = TABLE_FILES as u64 + 256;

/// Fewer connections are no service.
const FEWEST: u64 = 64;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the system lets this process have {limit} files open, and it needs {} to serve\n  \
     raise the limit before the start: `ulimit -n 65536` in a shell, LimitNOFILE=65536 for systemd, --ulimit for a container",
    KEPT + FEWEST
)]
pub struct TooFew {
    limit: u64,
}

/// Raises the limit as far as the process itself may: the soft limit of many systems, 1,024, is too few for a sale, and for large data.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// How many connections are taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Of the whole process.
    pub most: usize,
    pub workers: usize,
}

impl Connections {
    /// As many as wanted, if the system lets the process have them. Says so in the log if not.
    ///
    /// # Errors
    /// If there would be too few.
    pub fn wanted(most: usize, workers: usize) -> Result<Self, TooFew> {
        let limit = getrlimit(Resource::Nofile).current;
        let connections = Self::under(limit, most, workers)?;
        match limit {
            Some(limit) if connections.most < most => tracing::warn!(
                "server.max_connections is {most}, and the system lets this process have {limit} files open: {} connections are taken \
                 at once, others wait. For more raise the limit: `ulimit -n` in a shell, LimitNOFILE for systemd",
                connections.most
            ),
            _ => tracing::debug!(connections = connections.most, "connections that are taken at once"),
        }
        Ok(connections)
    }

    fn under(limit: Option<u64>, most: usize, workers: usize) -> Result<Self, TooFew> {
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(KEPT));
        if let (Some(limit), true) = (limit, left < FEWEST) {
            return Err(TooFew { limit });
        }
        let most = most.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1);
        Ok(Self { most, workers: workers.clamp(1, most) })
    }

    /// Those of a server beside this one, served by one worker, and what is left for this one.
    pub fn split(self, beside: usize) -> (Self, Self) {
        let beside = beside.min(self.most / 2).max(1);
        let most = (self.most - beside).max(1);
        (Self { most, workers: self.workers.min(most) }, Self { most: beside, workers: 1 })
    }

    /// Each worker takes connections by itself: together no more than there may be.
    pub fn of_a_worker(self) -> usize {
        self.most / self.workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(limit: Option<u64>, most: usize, workers: usize) -> (usize, usize) {
        let connections = Connections::under(limit, most, workers).unwrap();
        assert!(connections.of_a_worker() * connections.workers <= connections.most && connections.of_a_worker() > 0);
        (connections.most, connections.workers)
    }

    /// It was a limit of each worker: with eight of them there were eight times as many.
    #[test]
    fn connections_are_of_the_process_and_leave_the_files_that_the_engine_needs() {
        assert_eq!(under(None, 50_000, 8), (50_000, 8));
        assert_eq!(under(Some(1 << 20), 50_000, 8), (50_000, 8));
        assert_eq!(under(Some(4_096), 50_000, 3), (4_096 - KEPT as usize, 3));
        assert_eq!(under(Some(4_096), 5, 8), (5, 5), "a worker without a connection serves nobody");
        assert_eq!(under(None, 0, 0), (1, 1));
    }

    #[test]
    fn a_limit_that_leaves_too_few_connections_is_refused_with_what_to_do() {
        assert_eq!(under(Some(KEPT + FEWEST), 50_000, 2), (FEWEST as usize, 2));
        let refused = Connections::under(Some(KEPT + FEWEST - 1), 50_000, 2).unwrap_err();
        assert!(refused.to_string().contains("ulimit -n"), "{refused}");
        assert!(Connections::under(Some(0), 1, 1).is_err());
    }
}
