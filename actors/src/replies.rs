//! The way back: one queue a worker thread, filled by the shards in batches, emptied by one local task.
//!
//! Invariants: every registered request ends exactly once: with its reply, with why there is none, or as lost when its partition was rebuilt;
//! until then it has its permit, also where nobody waits for it any more.
//! A reply costs no allocation and no wake-up of its own: a batch wakes the worker once.

mod queue;
mod slots;

use crate::admission::Permit;
use crate::unanswered::Unanswered;
use holdfast_engine::answer::Reply;
use holdfast_engine::ids::{PartitionId, Ticket};
use queue::Queue;
use slots::Slots;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll, Waker};

const SLOT_BITS: u32 = 48;

enum Delivery {
    Reply(Reply),
    /// The shard did not take the request.
    Refused {
        ticket: Ticket,
        why: Unanswered,
    },
    /// These lives of these partitions are over: what they and earlier ones had in hand has an unknown outcome.
    Lost(Arc<[(PartitionId, u64)]>),
}

/// All reply queues of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct ReplyQueues {
    all: Arc<RwLock<Vec<Arc<Queue<Delivery>>>>>,
    id: Arc<AtomicU64>,
}

thread_local! {
    static LOCAL: RefCell<Vec<Rc<Local>>> = const { RefCell::new(Vec::new()) };
}

/// The side of a queue that its own thread sees.
struct Local {
    owner: Arc<AtomicU64>,
    number: u64,
    queue: Arc<Queue<Delivery>>,
    slots: RefCell<Slots>,
}

struct Slot {
    partition: PartitionId,
    /// The life it was sent to: a later one may have it in hand.
    life: u64,
    stage: Stage,
    /// What its client has in hand: given back when the request ends.
    permit: Option<Permit>,
}

enum Stage {
    /// It is in hand, and this is who waits for it.
    Waiting(Option<Waker>),
    /// It is in hand, and nobody waits for it.
    Abandoned,
    Ended(Result<Reply, Unanswered>),
    /// It is not in hand, and who waited knows.
    Over,
}

impl ReplyQueues {
    /// Hands replies to the workers that wait for them.
    pub(crate) fn deliver(&self, replies: &mut Vec<Reply>) {
        let Ok(all) = self.all.read() else { return };
        let mut touched = 0u64;
        for reply in replies.drain(..) {
            let number = (reply.ticket.0 >> SLOT_BITS) as usize;
            if let Some(queue) = all.get(number) {
                queue.push(Delivery::Reply(reply));
                touched |= 1 << (number % 64);
            }
        }
        let touched = all.iter().enumerate().filter(|(number, _)| touched & (1 << (number % 64)) != 0);
        touched.for_each(|(_, queue)| queue.wake());
    }

    /// Ends a request that the shard did not take.
    pub(crate) fn refuse(&self, ticket: Ticket, why: Unanswered) {
        let Ok(all) = self.all.read() else { return };
        if let Some(queue) = all.get((ticket.0 >> SLOT_BITS) as usize) {
            queue.push(Delivery::Refused { ticket, why });
            queue.wake();
        }
    }

    /// Ends everything that these partitions had in hand up to these lives.
    pub(crate) fn lost(&self, lives: impl IntoIterator<Item = (PartitionId, u64)>) {
        let Ok(all) = self.all.read() else { return };
        let mut lives: Vec<(PartitionId, u64)> = lives.into_iter().collect();
        lives.sort_unstable();
        let lives: Arc<[(PartitionId, u64)]> = lives.into();
        for queue in all.iter() {
            queue.push(Delivery::Lost(lives.clone()));
            queue.wake();
        }
    }

    /// Reserves a place for the reply to a request that is about to be sent from this thread.
    pub(crate) fn register(&self, partition: PartitionId, life: u64, permit: Option<Permit>) -> Pending {
        let local = self.local();
        let slot = local.slots.borrow_mut().insert(Slot { partition, life, stage: Stage::Waiting(None), permit });
        Pending { local, slot }
    }

    fn local(&self) -> Rc<Local> {
        LOCAL.with_borrow_mut(|locals| {
            let mine = locals.iter().find(|local| Arc::ptr_eq(&local.owner, &self.id));
            if let Some(local) = mine {
                return local.clone();
            }
            let local = Rc::new(self.open());
            locals.push(local.clone());
            actix_rt::spawn(receive(local.clone()));
            local
        })
    }

    fn open(&self) -> Local {
        let queue = Arc::new(Queue::new());
        let number = match self.all.write() {
            Ok(mut all) => {
                all.push(queue.clone());
                all.len() as u64 - 1
            }
            Err(_) => u64::MAX >> SLOT_BITS,
        };
        Local { owner: self.id.clone(), number, queue, slots: RefCell::default() }
    }
}

/// Hands what was delivered to the futures that wait, for as long as the thread lives.
async fn receive(local: Rc<Local>) {
    poll_fn(move |context| {
        local.queue.watch(context);
        let mut slots = local.slots.borrow_mut();
        while let Some(delivery) = local.queue.pop() {
            take(&mut slots, delivery);
        }
        Poll::<()>::Pending
    })
    .await;
}

fn take(slots: &mut Slots, delivery: Delivery) {
    match delivery {
        Delivery::Reply(reply) => end(slots, reply.ticket, Ok(reply)),
        Delivery::Refused { ticket, why } => end(slots, ticket, Err(why)),
        Delivery::Lost(lives) => slots.remove_those(|slot| slot.is_of(&lives) && slot.end(Err(Unanswered::Lost))),
    }
}

fn end(slots: &mut Slots, ticket: Ticket, ended: Result<Reply, Unanswered>) {
    let number = ticket.0 & ((1 << SLOT_BITS) - 1);
    if slots.get_mut(number).is_some_and(|slot| slot.end(ended)) {
        slots.remove(number);
    }
}

impl Slot {
    fn is_in_hand(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_) | Stage::Abandoned)
    }

    /// Whether its partition had it in hand in one of these lives.
    fn is_of(&self, lives: &[(PartitionId, u64)]) -> bool {
        let over = lives.binary_search_by_key(&self.partition, |(partition, _)| *partition);
        over.is_ok_and(|index| self.life <= lives[index].1)
    }

    /// Whether nobody will ask how it ended. What ended before stays as it ended.
    fn end(&mut self, ended: Result<Reply, Unanswered>) -> bool {
        if !self.is_in_hand() {
            return false;
        }
        self.permit = None;
        match std::mem::replace(&mut self.stage, Stage::Ended(ended)) {
            Stage::Abandoned => return true,
            Stage::Waiting(Some(waker)) => waker.wake(),
            Stage::Waiting(None) | Stage::Ended(_) | Stage::Over => {}
        }
        false
    }
}

/// A request under way. Dropping it gives up the reply, not the request.
pub struct Pending {
    local: Rc<Local>,
    slot: u64,
}

impl Pending {
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.local.number << SLOT_BITS | self.slot)
    }

    /// It was not sent, and no reply will come.
    pub(crate) fn withdraw(&mut self) {
        self.local.slots.borrow_mut().remove(self.slot);
    }
}

impl Future for Pending {
    type Output = Result<Reply, Unanswered>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slots = self.local.slots.borrow_mut();
        let Some(slot) = slots.get_mut(self.slot) else { return Poll::Ready(Err(Unanswered::Lost)) };
        match std::mem::replace(&mut slot.stage, Stage::Over) {
            Stage::Ended(ended) => Poll::Ready(ended),
            Stage::Over => Poll::Ready(Err(Unanswered::Lost)),
            Stage::Waiting(_) | Stage::Abandoned => {
                slot.stage = Stage::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut slots = self.local.slots.borrow_mut();
        match slots.get_mut(self.slot) {
            Some(slot) if slot.is_in_hand() => slot.stage = Stage::Abandoned,
            Some(_) => slots.remove(self.slot),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
