//! Threads for requests that are many in one: their bodies are read, their commands sent and their answers written here, so that no
//! order waits for a thread that is busy with them.
//!
//! Invariants: of one client only so many run at once, the others wait in the order they came; whose client is gone is given up.

use crate::priority::be_nice;
use actix::{Arbiter, ArbiterHandle};
use holdfast_actors::ClientId;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{Semaphore, oneshot};

/// Bulk requests of one client that run at once.
const RUNNING: usize = 4;
/// Their threads yield to those that serve single requests: about a quarter of a processor is theirs whatever happens.
const NICENESS: i32 = 5;

/// Ends with the process.
pub struct Bulk {
    threads: Vec<ArbiterHandle>,
    next: AtomicUsize,
    /// Of each client that has requests here, by how many more may run.
    turns: Mutex<HashMap<ClientId, Weak<Semaphore>>>,
}

impl Bulk {
    /// Must be called inside an actix system.
    pub fn start(threads: usize) -> Self {
        let threads = (0..threads.max(1)).map(|_| thread()).collect();
        Self { threads, next: AtomicUsize::new(0), turns: Mutex::default() }
    }

    /// Runs something for a client when it is its turn. None if it panicked.
    pub async fn run<W, F>(&self, client: Option<ClientId>, work: W) -> Option<F::Output>
    where
        W: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send> + 'static,
    {
        let turn = self.turns_of(client).acquire_owned().await;
        let (mut answer, answered) = oneshot::channel();
        self.spawn(move || async move {
            let _turn = turn;
            tokio::select! {
                // Who asked may be gone by now.
                done = work() => drop(answer.send(done)),
                () = answer.closed() => {}
            }
        });
        answered.await.ok()
    }

    /// Runs something at once.
    pub fn spawn<W, F>(&self, work: W)
    where
        W: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        let run = move || drop(actix_web::rt::spawn(work()));
        if !self.threads[next].spawn_fn(run) {
            tracing::warn!("a request in bulk came while the process ends");
        }
    }

    fn turns_of(&self, client: Option<ClientId>) -> Arc<Semaphore> {
        let Some(client) = client else { return Arc::new(Semaphore::new(RUNNING)) };
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = turns.get(&client).and_then(Weak::upgrade) {
            return known;
        }
        turns.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Semaphore::new(RUNNING));
        turns.insert(client, Arc::downgrade(&new));
        new
    }
}

fn thread() -> ArbiterHandle {
    let arbiter = Arbiter::new();
    arbiter.spawn_fn(|| be_nice(NICENESS));
    arbiter.handle()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::time::Duration;

    #[actix_web::test]
    async fn of_one_client_only_so_many_run_at_once_and_another_does_not_wait_for_them() {
        let bulk = Bulk::start(2);
        let (go, gate) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let held = |client| {
            let (go, gate) = (go.clone(), gate.clone());
            bulk.run(Some(ClientId(client)), move || async move {
                gate.fetch_add(1, Ordering::SeqCst);
                drop(go.acquire().await);
            })
        };
        let greedy = join_all((0..3 * RUNNING).map(|_| held(1)));
        let modest = async {
            while gate.load(Ordering::SeqCst) < RUNNING {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(bulk.run(Some(ClientId(2)), || async { 7 }).await, Some(7));
            assert_eq!(gate.load(Ordering::SeqCst), RUNNING);
            go.add_permits(Semaphore::MAX_PERMITS / 2);
        };
        let (all, ()) = futures_util::join!(greedy, modest);
        assert_eq!(all.iter().flatten().count(), 3 * RUNNING);
    }

    #[actix_web::test]
    async fn what_nobody_waits_for_any_more_ends_and_makes_room() {
        let bulk = Bulk::start(1);
        for _ in 0..2 * RUNNING {
            let endless = bulk.run(Some(ClientId(1)), std::future::pending::<()>);
            tokio::time::timeout(Duration::from_millis(1), endless).await.unwrap_err();
        }
        assert_eq!(bulk.run(Some(ClientId(1)), || async { 7 }).await, Some(7));
    }
}
