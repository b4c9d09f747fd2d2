//! The queues between threads, under shuttle: the files of production with its scheduler under them, thousands of interleavings each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../src/inbox/queue.rs"]
mod inbox;
#[path = "interleavings/moves.rs"]
mod moves;
#[path = "../src/replies/queue.rs"]
mod replies;

/// In the place of `src/sync.rs`.
mod sync {
    use shuttle::sync::Mutex;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
    use std::collections::VecDeque;
    use std::task::Waker;

    /// As crossbeam's: each operation is one step that no other sees half of.
    #[derive(Debug)]
    pub(crate) struct SegQueue<T>(Mutex<VecDeque<T>>);

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(VecDeque::new()))
        }

        pub(crate) fn push(&self, one: T) {
            self.0.lock().unwrap().push_back(one);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.0.lock().unwrap().pop_front()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.lock().unwrap().is_empty()
        }
    }

    /// As that of `futures`: a wake takes the waker that was registered last.
    #[derive(Debug)]
    pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(None))
        }

        pub(crate) fn register(&self, waker: &Waker) {
            *self.0.lock().unwrap() = Some(waker.clone());
        }

        pub(crate) fn wake(&self) {
            let waker = self.0.lock().unwrap().take();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Arc, mpsc};
use shuttle::{check_pct, check_random, future, thread};
use std::collections::VecDeque;
use std::task::Poll;

const RUNS: usize = 3_000;

fn explore(run: impl Fn() + Send + Sync + Clone + 'static) {
    check_random(run.clone(), RUNS);
    check_pct(run, RUNS, 3);
}

/// Pushes some messages from a thread of its own. The wake-up is a message too, of which one is under way at a time.
fn pusher(queue: &Arc<inbox::Queue<u32>>, wakes: &mpsc::Sender<()>, first: u32, way: inbox::Way) -> thread::JoinHandle<()> {
    let (queue, wakes) = (queue.clone(), wakes.clone());
    thread::spawn(move || {
        for number in first..first + 3 {
            assert!(queue.push(way, number, || wakes.send(()).unwrap()));
        }
    })
}

/// A reader that is not woken for a message waits for ever, which shuttle calls a deadlock.
#[test]
fn after_a_push_the_reader_is_awake_or_about_to_wake_and_reads_each_message_once() {
    explore(|| {
        let (queue, (wakes, woken)) = (Arc::new(inbox::Queue::new()), mpsc::channel());
        let pushers = [pusher(&queue, &wakes, 0, inbox::Way::Alone), pusher(&queue, &wakes, 10, inbox::Way::InBulk)];
        queue.attach(|| wakes.send(()).unwrap());
        let mut read = Vec::new();
        while read.len() < 6 {
            woken.recv().unwrap();
            let mut taken = VecDeque::new();
            loop {
                queue.take(2, &mut taken);
                if taken.is_empty() && queue.sleep() {
                    break;
                }
                read.extend(taken.drain(..));
            }
        }
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        let in_order = |from: u32| read.iter().copied().filter(move |number| (from..from + 10).contains(number));
        assert!(in_order(0).eq(0..3) && in_order(10).eq(10..13), "{read:?}");
    });
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whoever waits for an answer to a message hears that there is none when the message is dropped.
#[test]
fn a_queue_that_is_closed_meanwhile_keeps_nothing() {
    explore(|| {
        let (queue, dropped) = (Arc::new(inbox::Queue::new()), Arc::new(AtomicUsize::new(0)));
        queue.attach(|| {});
        let push = |way| {
            let (queue, dropped) = (queue.clone(), dropped.clone());
            thread::spawn(move || {
                (0..2).for_each(|_| {
                    queue.push(way, Counted(dropped.clone()), || {});
                })
            })
        };
        let pushers = [push(inbox::Way::Alone), push(inbox::Way::InBulk)];
        queue.close();
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        assert!(queue.is_empty() && queue.closed());
        assert_eq!(dropped.load(Ordering::SeqCst), 4);
        assert!(!queue.push(inbox::Way::Alone, Counted(dropped.clone()), || panic!("nobody is woken")));
    });
}

/// A task that is not woken for a delivery waits for ever, which shuttle calls a deadlock.
#[test]
fn every_delivery_reaches_the_task_that_waits_for_it_once() {
    explore(|| {
        let queue = Arc::new(replies::Queue::new());
        let deliver = |first: u32| {
            let queue = queue.clone();
            thread::spawn(move || {
                // A batch, then one alone.
                (first..first + 2).for_each(|number| queue.push(number));
                queue.wake();
                queue.push(first + 2);
                queue.wake();
            })
        };
        let shards = [deliver(0), deliver(10)];
        let mut received = Vec::new();
        future::block_on(std::future::poll_fn(|context| {
            queue.watch(context);
            received.extend(std::iter::from_fn(|| queue.pop()));
            if received.len() < 6 { Poll::Pending } else { Poll::Ready(()) }
        }));
        shards.into_iter().for_each(|shard| shard.join().unwrap());
        received.sort_unstable();
        assert_eq!(received, [0, 1, 2, 10, 11, 12]);
    });
}
