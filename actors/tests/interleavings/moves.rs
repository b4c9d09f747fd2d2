//! A partition goes to another shard and back: senders that have looked into the table before, inboxes that sleep, the guardian between.
//! The queue, the moves and the stash are those of production.

use super::explore;
use super::inbox::{Queue, Way};
use holdfast_actors::placement::handover::{Action, Event, Handovers};
use holdfast_actors::placement::stash::{Kind, Stash};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Timestamp;
use shuttle::sync::{Arc, Mutex, mpsc};
use shuttle::thread;
use std::collections::VecDeque;

const P: PartitionId = PartitionId(0);
const SENDERS: u32 = 2;
const REQUESTS: u32 = 2;

/// The partition is the list of requests that it has read.
type Partition = Vec<u32>;

enum Mail {
    Request(u32),
    Depart,
    Arrive(Partition),
    Stop,
}

enum ToGuardian {
    Departed(Partition),
    Arrived,
}

struct Inbox {
    queue: Queue<Mail>,
    wakes: Mutex<mpsc::Sender<()>>,
}

impl Inbox {
    fn wake(&self) {
        self.wakes.lock().unwrap().send(()).unwrap();
    }

    fn push(&self, mail: Mail) {
        assert!(self.queue.push(Way::Alone, mail, || self.wake()));
    }
}

/// The shard that hosts the partition, or is to, and both inboxes.
struct World {
    table: Mutex<usize>,
    inboxes: Vec<Inbox>,
}

impl World {
    fn shard(&self) -> usize {
        *self.table.lock().unwrap()
    }

    fn send(&self, request: u32) {
        let shard = self.shard();
        self.inboxes[shard].push(Mail::Request(request));
    }
}

struct Shard {
    world: Arc<World>,
    index: usize,
    here: Option<Partition>,
    stash: Stash<u32>,
    opened: VecDeque<Mail>,
    guardian: mpsc::Sender<ToGuardian>,
    answers: mpsc::Sender<()>,
}

impl Shard {
    /// What it has at the end.
    fn run(mut self, woken: &mpsc::Receiver<()>) -> Option<Partition> {
        let world = self.world.clone();
        let inbox = &world.inboxes[self.index];
        inbox.queue.attach(|| inbox.wake());
        loop {
            woken.recv().unwrap();
            loop {
                inbox.queue.take(2, &mut self.opened);
                if self.opened.is_empty() && inbox.queue.sleep() {
                    break;
                }
                while let Some(mail) = self.opened.pop_front() {
                    match mail {
                        Mail::Request(request) => self.request(request),
                        Mail::Depart => self.guardian.send(ToGuardian::Departed(self.here.take().unwrap())).unwrap(),
                        Mail::Arrive(partition) => self.arrive(partition),
                        Mail::Stop => return self.here,
                    }
                }
            }
        }
    }

    fn request(&mut self, request: u32) {
        match &mut self.here {
            Some(read) => {
                read.push(request);
                self.answers.send(()).unwrap();
            }
            None if self.world.shard() == self.index => self.stash.put(Timestamp::ZERO, P, Kind::Once, request),
            None => self.world.send(request),
        }
    }

    fn arrive(&mut self, partition: Partition) {
        assert!(self.here.replace(partition).is_none(), "a partition has two hosts");
        let waiting = self.stash.take(Timestamp::ZERO, P);
        waiting.into_iter().rev().for_each(|request| self.opened.push_front(Mail::Request(request)));
        self.guardian.send(ToGuardian::Arrived).unwrap();
    }
}

/// There and back.
fn guard(world: &World, messages: &mpsc::Receiver<ToGuardian>) {
    let mut moves = Handovers::default();
    moves.request(P, 1);
    moves.request(P, 0);
    while !moves.idle() {
        if let Some(route) = moves.begin(|_| world.shard()) {
            *world.table.lock().unwrap() = route.to;
            world.inboxes[route.from].push(Mail::Depart);
        }
        match messages.recv().unwrap() {
            ToGuardian::Departed(partition) => {
                let Some(Action::Deliver(route)) = moves.heard(P, Event::Departed) else { panic!("it is not moved") };
                world.inboxes[route.to].push(Mail::Arrive(partition));
            }
            ToGuardian::Arrived => assert!(moves.heard(P, Event::Arrived).is_some()),
        }
    }
}

/// A request that nobody reads leaves whoever waits for its answer waiting, which shuttle calls a deadlock.
#[test]
fn a_request_to_a_partition_that_moves_is_read_once_whichever_table_its_sender_has_seen() {
    explore(|| {
        let (wakes, woken): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel::<()>()).unzip();
        let inbox = |wakes| Inbox { queue: Queue::new(), wakes: Mutex::new(wakes) };
        let world = Arc::new(World { table: Mutex::new(0), inboxes: wakes.into_iter().map(inbox).collect() });
        let ((guardian, messages), (answers, answered)) = (mpsc::channel(), mpsc::channel());
        let shards: Vec<_> = woken
            .into_iter()
            .enumerate()
            .map(|(index, woken)| {
                let (world, guardian, answers) = (world.clone(), guardian.clone(), answers.clone());
                let here = (index == 0).then(Partition::new);
                let (stash, opened) = (Stash::default(), VecDeque::new());
                let shard = Shard { world, index, here, stash, opened, guardian, answers };
                thread::spawn(move || shard.run(&woken))
            })
            .collect();
        let send = |sender: u32| {
            let world = world.clone();
            thread::spawn(move || (0..REQUESTS).for_each(|number| world.send(sender * REQUESTS + number)))
        };
        let senders: Vec<_> = (0..SENDERS).map(send).collect();
        guard(&world, &messages);
        (0..SENDERS * REQUESTS).for_each(|_| answered.recv().unwrap());
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        world.inboxes.iter().for_each(|inbox| inbox.push(Mail::Stop));
        let mut ended = shards.into_iter().map(|shard| shard.join().unwrap());
        let (Some(Some(mut read)), Some(None)) = (ended.next(), ended.next()) else { panic!("the partition is not back") };
        read.sort_unstable();
        assert!(read.into_iter().eq(0..SENDERS * REQUESTS));
    });
}
