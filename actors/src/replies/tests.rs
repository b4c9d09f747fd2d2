//! Slots belong to (partition, life): which of them a loss ends.

use super::*;
use holdfast_engine::rejection::Rejection;

fn reply(ticket: Ticket) -> Reply {
    Reply { ticket, outcome: Err(Rejection::NotFound), replayed: false }
}

#[actix::test]
async fn a_loss_ends_what_its_partition_had_in_hand_up_to_its_life_and_nothing_else() {
    struct Case {
        rule: &'static str,
        partition: u16,
        life: u64,
        then: Result<(), Unanswered>,
    }
    for Case { rule, partition, life, then } in [
        Case { rule: "the life that ended", partition: 3, life: 2, then: Err(Unanswered::Lost) },
        Case { rule: "one that was sent to an earlier one and read in it", partition: 3, life: 1, then: Err(Unanswered::Lost) },
        Case { rule: "the next life", partition: 3, life: 3, then: Ok(()) },
        Case { rule: "another that ended with it", partition: 1, life: 0, then: Err(Unanswered::Lost) },
        Case { rule: "a later life of that", partition: 1, life: 1, then: Ok(()) },
        Case { rule: "another partition", partition: 2, life: 0, then: Ok(()) },
    ] {
        let queues = ReplyQueues::default();
        let pending = queues.register(PartitionId(partition), life, None);
        queues.lost([(PartitionId(3), 2), (PartitionId(1), 0)]);
        queues.deliver(&mut vec![reply(pending.ticket())]);
        assert_eq!(pending.await.map(drop), then, "{rule}");
    }
}

#[actix::test]
async fn a_request_ends_as_it_ended_first() {
    let queues = ReplyQueues::default();
    let pending = queues.register(PartitionId(0), 0, None);
    queues.refuse(pending.ticket(), Unanswered::Unavailable);
    queues.lost([(PartitionId(0), 0)]);
    queues.deliver(&mut vec![reply(pending.ticket())]);
    assert_eq!(pending.await, Err(Unanswered::Unavailable));
}

#[actix::test]
async fn nothing_is_kept_of_requests_that_ended_whoever_waits_for_them() {
    let queues = ReplyQueues::default();
    let local = queues.local();
    let (given_up, awaited) = (queues.register(PartitionId(0), 0, None), queues.register(PartitionId(0), 0, None));
    drop(given_up);
    queues.lost([(PartitionId(0), 0)]);
    assert_eq!(awaited.await, Err(Unanswered::Lost));
    assert_eq!(local.slots.borrow().len(), 0);
}

/// Its slot is used again, by a request that must not get the reply to another.
#[actix::test]
async fn what_is_late_for_a_request_that_ended_is_no_reply_to_the_next() {
    let queues = ReplyQueues::default();
    let first = queues.register(PartitionId(0), 0, None);
    let late = first.ticket();
    queues.lost([(PartitionId(0), 0)]);
    assert_eq!(first.await, Err(Unanswered::Lost));
    let second = queues.register(PartitionId(0), 1, None);
    assert_ne!(second.ticket(), late);
    queues.deliver(&mut vec![reply(late)]);
    queues.refuse(second.ticket(), Unanswered::Unavailable);
    assert_eq!(second.await, Err(Unanswered::Unavailable));
}
