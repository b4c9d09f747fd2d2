//! How the process is told to stop, and how far that has come.
//!
//! Invariant: the first signal begins a stop in order, the second ends the process at once, whatever the rest of it does:
//! signals have a thread of their own.

use std::io;
use std::thread;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How far a stop has come. It only goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    /// `/readyz` says so, and everything is still served: balancers have time to look.
    Draining,
    /// The port closes. What is in hand is answered, streams end, and bodies that are not here are not waited for.
    Closing,
}

/// Exit code of a process that a second signal ended: as a shell reports one that died of it.
const SIGNALLED: i32 = 128;

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// The number of the next one.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}

/// Listens to SIGTERM and SIGINT from now on. Becomes true with the first; a second ends the process.
///
/// # Errors
/// If the system does not let us.
pub fn signals() -> io::Result<watch::Receiver<bool>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _inside = runtime.enter();
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? }
    };
    let (stop, stopping) = watch::channel(false);
    thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(obey(signals, stop)))?;
    Ok(stopping)
}

async fn obey(mut signals: Signals, stop: watch::Sender<bool>) {
    signals.next().await;
    stop.send_replace(true);
    tracing::info!("stopping: requests in hand are answered, then the journal is synced; a second signal ends at once");
    let number = signals.next().await;
    std::process::exit(SIGNALLED + number);
}
