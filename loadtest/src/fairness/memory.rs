//! How the memory of a server on this machine grows, beside what its open holds take.

use crate::http::Target;
use crate::sampler::resident;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// A server whose memory is looked at until it is enough.
pub(super) struct Watched {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Growth>,
}

/// At the look at which there was most beyond open holds.
#[derive(Clone, Copy, Default)]
pub(super) struct Growth {
    pub(super) beyond_holds: u64,
    resident: u64,
    holds: u64,
    /// Of them some are over and wait to be written to tables.
    orders: u64,
}

impl Growth {
    pub(super) fn told(&self) -> Vec<(String, u64)> {
        let Self { beyond_holds, resident, holds, orders } = *self;
        let mib = [("MiB resident", resident), ("MiB beyond open holds", beyond_holds)]
            .map(|(name, bytes)| (name.to_owned(), bytes >> 20));
        mib.into_iter().chain([("open holds".to_owned(), holds), ("orders in memory".to_owned(), orders)]).collect()
    }
}

impl Watched {
    pub(super) fn start(pid: u32, target: Target, hold_bytes: u64) -> Result<Self, String> {
        let before = resident(pid).ok_or_else(|| format!("there is no process {pid} whose memory could be read"))?;
        let enough = Arc::new(AtomicBool::new(false));
        let until = enough.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let thread = std::thread::spawn(move || {
            let mut most = Growth::default();
            while !until.load(Ordering::Relaxed) {
                let (holds, orders) = runtime.block_on(in_memory(&target));
                let resident = resident(pid).unwrap_or_default();
                let beyond_holds = resident.saturating_sub(before + holds * hold_bytes);
                if beyond_holds >= most.beyond_holds {
                    most = Growth { beyond_holds, resident, holds, orders };
                }
                std::thread::sleep(PAUSE);
            }
            most
        });
        Ok(Self { enough, thread })
    }

    pub(super) fn stop(self) -> Growth {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Open holds and orders of all shards; none where they do not say.
async fn in_memory(target: &Target) -> (u64, u64) {
    let shards = target.operators().call("GET", "/admin/v1/shards", "", "").await.unwrap_or_default();
    let shards = shards["shards"].as_array().cloned().unwrap_or_default();
    let sum = |count: &str| shards.iter().filter_map(|shard| shard[count].as_u64()).sum();
    (sum("holds"), sum("orders"))
}
