//! Threads that read the journal for clients and render what they found, off the path of orders.
//!
//! Invariants: clients that wait have their turns, whatever one of them asks for; what nobody waits for any more is not begun; a panic
//! ends what it happened in, and the thread goes on. Threads that serve orders wait for no lock that one of these may hold.

use super::priority::be_nice;
use crossbeam::channel::{Receiver, Sender, unbounded};
use holdfast_actors::ClientId;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// They yield to those that serve orders: a thirtieth of a processor is theirs whatever happens.
const NICENESS: i32 = 15;

type Job = Box<dyn FnOnce() + Send>;

/// The threads end when this is gone.
pub struct Readers {
    jobs: Sender<(Option<ClientId>, Job)>,
    /// One for each job, sent behind it.
    tokens: Sender<()>,
}

impl Readers {
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        // Bounded by the requests: each waits for one job at a time.
        let ((jobs, asked), (tokens, due)) = (unbounded(), unbounded());
        let queue = Arc::new(Queue { asked, turns: Mutex::default() });
        for _ in 0..threads {
            let (queue, due) = (queue.clone(), due.clone());
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                be_nice(NICENESS);
                run(&queue, &due);
            })?;
        }
        Ok(Self { jobs, tokens })
    }

    /// Runs something for a client when it is its turn. None if it panicked.
    pub async fn run<T: Send + 'static>(&self, client: Option<ClientId>, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            if !answer.is_closed() {
                // Who asked may be gone by now.
                drop(answer.send(work()));
            }
        };
        self.jobs.send((client, Box::new(job))).ok()?;
        self.tokens.send(()).ok()?;
        answered.await.ok()
    }
}

fn run(queue: &Queue, due: &Receiver<()>) {
    while due.recv().is_ok() {
        let Some(job) = queue.next() else { continue };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            // What it was is logged where it panicked.
            metrics::counter!("holdfast_alarms_total").increment(1);
        }
    }
}

/// What is shared by the threads, and by nobody else.
struct Queue {
    asked: Receiver<(Option<ClientId>, Job)>,
    turns: Mutex<Turns<Job>>,
}

impl Queue {
    /// There is a job for whoever holds a token.
    fn next(&self) -> Option<Job> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked.try_iter().for_each(|(client, job)| turns.push(client, job));
        turns.pop()
    }
}

/// What clients wait for. Each that waits for something stands in the order once.
struct Turns<T> {
    waiting: HashMap<Option<ClientId>, VecDeque<T>>,
    order: VecDeque<Option<ClientId>>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    fn push(&mut self, client: Option<ClientId>, job: T) {
        let own = self.waiting.entry(client).or_default();
        if own.is_empty() {
            self.order.push_back(client);
        }
        own.push_back(job);
    }

    fn pop(&mut self) -> Option<T> {
        let client = self.order.pop_front()?;
        let own = self.waiting.get_mut(&client)?;
        let job = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.order.push_back(client);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn clients_have_their_turns_however_much_one_of_them_asks_for_and_are_forgotten_then() {
        let mut turns = Turns::default();
        (0..1000).for_each(|_| turns.push(Some(ClientId(1)), 1));
        (0..3).for_each(|_| turns.push(Some(ClientId(2)), 2));
        turns.push(None, 3);
        let first: Vec<i32> = (0..8).filter_map(|_| turns.pop()).collect();
        assert_eq!(first, [1, 2, 3, 1, 2, 1, 2, 1]);
        assert!((0..996).all(|_| turns.pop() == Some(1)) && turns.pop().is_none());
        assert!(turns.waiting.is_empty() && turns.order.is_empty());
    }

    /// Defect: the one thread that read for all streams was gone with its first panic, and streams were opened on.
    #[actix_web::test]
    async fn a_panic_ends_what_it_happened_in_and_the_next_one_is_read() {
        let readers = Readers::start("test", 1).unwrap();
        for number in 0..3 {
            assert_eq!(readers.run(None, || panic!("it cannot be rendered")).await, None::<()>);
            assert_eq!(readers.run(None, move || number).await, Some(number));
        }
    }

    /// Defect: as many pages were rendered at once as there were requests for them, up to 512.
    #[actix_web::test]
    async fn no_more_is_read_at_once_than_there_are_threads_and_all_of_it_is() {
        let readers = Readers::start("test", 3).unwrap();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let job = |client: u128| {
            let (running, most) = (running.clone(), most.clone());
            readers.run(Some(ClientId(client % 7)), move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
            })
        };
        let done = join_all((0..500).map(job)).await;
        assert!(done.iter().all(Option::is_some) && most.load(Ordering::SeqCst) <= 3);
    }

    #[actix_web::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let readers = Readers::start("test", 1).unwrap();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let held = readers.run(Some(ClientId(1)), move || gate.recv().is_ok());
        let begun = Arc::new(AtomicUsize::new(0));
        let own = begun.clone();
        let given_up = readers.run(Some(ClientId(2)), move || own.fetch_add(1, Ordering::SeqCst));
        let mut both = (Box::pin(held), Box::pin(given_up));
        // Each is asked for with its first poll; the second is given up then.
        assert!(futures_util::poll!(&mut both.0).is_pending() && futures_util::poll!(&mut both.1).is_pending());
        drop(both.1);
        open.send(()).unwrap();
        assert_eq!(both.0.await, Some(true));
        assert_eq!(readers.run(Some(ClientId(2)), || 7).await, Some(7));
        assert_eq!(begun.load(Ordering::SeqCst), 0);
    }
}
