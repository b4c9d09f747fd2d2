//! Threads for requests that are many in one: their bodies are read, their commands sent and their answers written here, so that no
//! order waits for a thread that is busy with them.
//!
//! Invariants: of one client only so many run at once, and have so many commands in hand together; only so many wait, in the order they
//! came, and what comes beyond is not run; whose client is gone is given up.

use super::priority::be_nice;
use actix::{Arbiter, ArbiterHandle};
use holdfast_actors::ClientId;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{Semaphore, oneshot};

/// Bulk requests of one client that run at once.
const RUNNING: usize = 4;
/// Bulk requests of one client that wait for their turn: with those that run more than the connections of most pools.
const WAITING: usize = 64;
/// Commands that all running ones of a client have in hand: enough that the next commit is full while one is written, also of who runs
/// only one. A shard reads them in turns with single requests, so it is not they who wait.
const IN_HAND: usize = 1024;
/// Their threads yield to those that serve single requests: about a quarter of a processor is theirs whatever happens.
const NICENESS: i32 = 5;

/// Ends with the process.
pub struct Bulk {
    threads: Vec<ArbiterHandle>,
    next: AtomicUsize,
    /// Of each client that has requests here.
    turns: Mutex<HashMap<ClientId, Weak<Turns>>>,
}

/// What one client may have here.
struct Turns {
    /// Requests, with those that wait.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    in_hand: Arc<Semaphore>,
}

impl Turns {
    fn new() -> Self {
        let [places, running, in_hand] = [WAITING + RUNNING, RUNNING, IN_HAND].map(|most| Arc::new(Semaphore::new(most)));
        Self { places, running, in_hand }
    }
}

/// Why there is no answer of what was to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// As many of the client's wait as may. It was not run.
    Crowded,
    /// It panicked.
    Panicked,
}

impl Bulk {
    /// Must be called inside an actix system.
    pub fn start(threads: usize) -> Self {
        let threads = (0..threads.max(1)).map(|_| thread()).collect();
        Self { threads, next: AtomicUsize::new(0), turns: Mutex::default() }
    }

    /// Runs something for a client when it is its turn. It takes one of the given permits for each command that it has in hand.
    ///
    /// # Errors
    /// If it was not run, or panicked.
    pub async fn run<W, F>(&self, client: Option<ClientId>, work: W) -> Result<F::Output, NoAnswer>
    where
        W: FnOnce(Arc<Semaphore>) -> F + Send + 'static,
        F: Future<Output: Send> + 'static,
    {
        let turns = self.turns_of(client);
        let place = turns.places.clone().try_acquire_owned().map_err(|_| NoAnswer::Crowded)?;
        let turn = turns.running.clone().acquire_owned().await;
        let (mut answer, answered) = oneshot::channel();
        self.spawn(move || async move {
            let in_hand = turns.in_hand.clone();
            let _held = (turn, place, turns);
            tokio::select! {
                // Who asked may be gone by now.
                done = work(in_hand) => drop(answer.send(done)),
                () = answer.closed() => {}
            }
        });
        answered.await.map_err(|_| NoAnswer::Panicked)
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

    fn turns_of(&self, client: Option<ClientId>) -> Arc<Turns> {
        let Some(client) = client else { return Arc::new(Turns::new()) };
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = turns.get(&client).and_then(Weak::upgrade) {
            return known;
        }
        turns.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Turns::new());
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
    use tokio::sync::watch;

    /// Requests that end when the test lets them.
    struct Gate {
        bulk: Bulk,
        go: Arc<Semaphore>,
        begun: watch::Sender<usize>,
    }

    impl Gate {
        fn new() -> Self {
            Self { bulk: Bulk::start(2), go: Arc::new(Semaphore::new(0)), begun: watch::Sender::new(0) }
        }

        async fn held(&self, client: u128) -> Result<(), NoAnswer> {
            let (go, begun) = (self.go.clone(), self.begun.clone());
            let work = move |_| async move {
                begun.send_modify(|requests| *requests += 1);
                drop(go.acquire().await);
            };
            self.bulk.run(Some(ClientId(client)), work).await
        }

        async fn answered(&self, client: u128) -> Result<u32, NoAnswer> {
            self.bulk.run(Some(ClientId(client)), async |_| 7).await
        }

        async fn until_begun(&self, requests: usize) {
            self.begun.subscribe().wait_for(|begun| *begun >= requests).await.unwrap();
        }

        fn has_begun(&self) -> usize {
            *self.begun.borrow()
        }

        fn open(&self) {
            self.go.add_permits(Semaphore::MAX_PERMITS / 2);
        }
    }

    #[actix_web::test]
    async fn of_one_client_only_so_many_run_at_once_and_another_does_not_wait_for_them() {
        let gate = Gate::new();
        let greedy = join_all((0..3 * RUNNING).map(|_| gate.held(1)));
        let modest = async {
            gate.until_begun(RUNNING).await;
            assert_eq!(gate.answered(2).await, Ok(7));
            assert_eq!(gate.has_begun(), RUNNING);
            gate.open();
        };
        let (all, ()) = futures_util::join!(greedy, modest);
        assert_eq!(all, vec![Ok(()); 3 * RUNNING]);
    }

    #[actix_web::test]
    async fn of_one_client_only_so_many_wait_and_what_comes_beyond_is_not_run() {
        let gate = Gate::new();
        let greedy = join_all((0..RUNNING + WAITING + 3).map(|_| gate.held(1)));
        let modest = async {
            gate.until_begun(RUNNING).await;
            assert_eq!(gate.answered(1).await, Err(NoAnswer::Crowded));
            assert_eq!(gate.answered(2).await, Ok(7));
            gate.open();
        };
        let (all, ()) = futures_util::join!(greedy, modest);
        assert_eq!(all[RUNNING + WAITING..], [Err(NoAnswer::Crowded); 3]);
        assert_eq!(all.iter().flatten().count(), RUNNING + WAITING);
        assert_eq!(gate.has_begun(), RUNNING + WAITING);
        assert_eq!(gate.answered(1).await, Ok(7), "there is room again");
    }

    #[actix_web::test]
    async fn what_nobody_waits_for_any_more_ends_and_makes_room() {
        let gate = Gate::new();
        for _ in 0..2 * (RUNNING + WAITING) {
            tokio::time::timeout(Duration::from_millis(1), gate.held(1)).await.unwrap_err();
        }
        assert_eq!(gate.answered(1).await, Ok(7));
    }

    #[actix_web::test]
    async fn what_runs_for_one_client_shares_the_commands_it_may_have_in_hand() {
        let gate = Gate::new();
        let free = |client| gate.bulk.run(Some(ClientId(client)), async |in_hand| in_hand.available_permits());
        let greedy = async {
            gate.until_begun(1).await;
            let all = |in_hand: Arc<Semaphore>| in_hand.acquire_many_owned(u32::try_from(IN_HAND).unwrap());
            let taken = gate.bulk.run(Some(ClientId(1)), all).await.unwrap().unwrap();
            assert_eq!([free(1).await, free(2).await], [Ok(0), Ok(IN_HAND)]);
            drop(taken);
            assert_eq!(free(1).await, Ok(IN_HAND));
            gate.open();
        };
        let (held, ()) = futures_util::join!(gate.held(1), greedy);
        assert_eq!(held, Ok(()));
    }
}
