//! The actors over the memory journal: admission, rebuilding after a panic, many shards, partitions that move.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(test)]
mod moves;

use actix::Arbiter;
use holdfast_actors::clock::wall;
use holdfast_actors::shop::{self, BOTH, id, meanwhile, partitions, place_at, sku, start_on, status, stock};
use holdfast_actors::{ClientId, Engine, Handle, Options, Origin, Unanswered};
use holdfast_engine::Causality;
use holdfast_engine::answer;
use holdfast_engine::codec::{Batch, read_frame};
use holdfast_engine::command::Command;
use holdfast_engine::event::{Change, HoldLimit, Kind, Placed};
use holdfast_engine::ids::{Label, PartitionId, RequestId};
use holdfast_engine::order::Status;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::time::Policy;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Log, LogId, Snapshots};
use std::ops::ControlFlow;
use std::sync::Arc;

fn start(causality: Causality, options: Options) -> Engine {
    start_on(&Arc::new(MemoryJournal::with(causality, partitions())), options)
}

fn place(key: &str, name: &str) -> Command {
    place_at(key, &[name], (1, 1))
}

fn poison(partition: PartitionId, number: usize) -> Command {
    shop::poison(partition, number, &["A"])
}

#[actix::test]
async fn the_last_unit_is_sold_once_over_several_shards() {
    for causality in BOTH {
        let engine = start(causality, Options { shards: 3, ..Options::default() });
        engine.handle.execute(stock("A", 1)).await.unwrap();
        let sent: Vec<_> = (0..500).map(|n| engine.handle.send(place(&n.to_string(), "A")).unwrap()).collect();
        let mut sold = 0;
        for pending in sent {
            sold += usize::from(status(&pending.await.unwrap()) == Status::AwaitingPayment);
        }
        assert_eq!(sold, 1);
        engine.stop().await;
    }
}

#[actix::test]
async fn a_request_without_a_credit_is_refused_and_not_executed() {
    for causality in BOTH {
        let engine = start(causality, Options { credits: 2, ..Options::default() });
        engine.handle.execute(stock("A", 10)).await.unwrap();
        // Nothing is awaited in between, so no credit comes back.
        let mut sent = Vec::new();
        let refused = loop {
            match engine.handle.send(place(&sent.len().to_string(), "A")) {
                Ok(pending) => sent.push(pending),
                Err(refused) => break refused,
            }
            assert!(sent.len() < 100_000, "credits never ran out");
        };
        assert_eq!(refused, Unanswered::Overloaded);
        let accepted = sent.len();
        for pending in sent {
            pending.await.unwrap();
        }
        let reply = engine.handle.execute(Command::GetStock { sku: sku("A") }).await.unwrap();
        let Ok(answer::Answer::Stock(view)) = reply.outcome else { panic!("no stock") };
        assert_eq!(view.locations[0].buckets.held.units() as usize, accepted.min(10));
        engine.stop().await;
    }
}

/// Requests of a client that are admitted, one after the other and nothing awaited in between.
fn admitted(handle: &Handle, client: u128, name: &str) -> Vec<holdfast_actors::replies::Pending> {
    let origin = Origin { client: Some(ClientId(client)), bulk: client.is_multiple_of(2) };
    let mut sent = Vec::new();
    loop {
        match handle.send_from(origin, place(&format!("{name}-{client}-{}", sent.len()), "A")) {
            Ok(pending) => sent.push(pending),
            Err(refused) => {
                assert_eq!(refused.why, Unanswered::ShareTaken);
                return sent;
            }
        }
        assert!(sent.len() < 100_000, "a share never ran out");
    }
}

/// A share is given back when the shard has answered, also to nobody, and when a partition is lost.
#[actix::test]
async fn a_share_is_whole_again_after_answers_that_are_awaited_given_up_or_lost() {
    for causality in BOTH {
        let options = Options { credits: 10, client_percent: 30, ..Options::default() };
        let engine = start(causality, options);
        engine.handle.execute(stock("A", 1_000_000)).await.unwrap();
        for round in 0..6 {
            let [own, others] = [1, 2].map(|client| admitted(&engine.handle, client, &round.to_string()));
            // An answer that comes in between makes room for one more.
            assert!(own.len() >= 3 && others.len() >= 3, "{} and {}", own.len(), others.len());
            drop(others);
            match round % 3 {
                0 => {
                    for pending in own {
                        pending.await.unwrap();
                    }
                }
                1 => drop(own),
                _ => {
                    let panics = engine.handle.send(poison(partitions().of_sku(&sku("A")), round));
                    assert!(panics.is_ok());
                    drop(own);
                }
            }
            is_whole_again(&engine).await;
        }
        engine.stop().await;
    }
}

/// Who wants more credits must be able to say so when they are used up.
#[actix::test]
async fn operators_get_in_when_nobody_else_does_and_give_back_what_they_took() {
    let (engine, partition) = (start(Causality::OneLog, Options { credits: 0, ..Options::default() }), PartitionId(0));
    let refused = engine.handle.execute(Command::Availability { partition, skus: Vec::new() }).await;
    assert_eq!(refused, Err(Unanswered::Overloaded));
    let change = Change {
        number: 0,
        who: None,
        what: Label::new("engine.credits").unwrap(),
        before: None,
        after: None,
        note: None,
        request_id: RequestId::new("r").unwrap(),
    };
    let origin = Origin { client: Some(ClientId(1)), bulk: false };
    for command in
        [Command::RecordChanges { partition, changes: vec![change] }, Command::ListChanges { partition, before: None, limit: 1 }]
    {
        let reply = engine.handle.send_from(origin, command).unwrap().await.unwrap();
        assert!(matches!(reply.outcome, Ok(answer::Answer::Changes(changes)) if changes.len() == 1));
    }
    assert_eq!(engine.handle.depths().iter().sum::<usize>(), 0);
    engine.stop().await;
}

#[actix::test]
async fn who_has_its_share_in_hand_does_not_use_up_the_credits() {
    let engine = start(Causality::OneLog, Options { credits: 10, client_percent: 30, ..Options::default() });
    drop(admitted(&engine.handle, 1, "own"));
    let counts = engine.handle.counts();
    assert_eq!((counts.over_share(), counts.overloaded()), (1, 0));
    engine.stop().await;
}

/// Until everything in hand has ended, and the partition is there: then each client has its whole share in hand at once.
async fn is_whole_again(engine: &Engine) {
    for client in [1, 2] {
        let origin = Origin { client: Some(ClientId(client)), bulk: false };
        let ask = || engine.handle.send_from(origin, Command::GetStock { sku: sku("A") });
        loop {
            let sent: Vec<_> = (0..3).map(|_| ask()).collect();
            let whole = sent.iter().all(Result::is_ok);
            let answers = futures_util::future::join_all(sent.into_iter().flatten()).await;
            if whole && answers.iter().all(Result::is_ok) {
                break;
            }
            meanwhile(engine).await;
        }
    }
}

#[actix::test]
async fn panicked_partitions_are_rebuilt_from_the_journal_with_every_acknowledged_fact() {
    for causality in BOTH {
        let engine = start(causality, Options { shards: 2, ..Options::default() });
        engine.handle.execute(stock("A", 100)).await.unwrap();
        for n in 0..20 {
            engine.handle.execute(place(&format!("before-{n}"), "A")).await.unwrap();
        }
        let in_hand = engine.handle.send(place("in-hand", "A"));
        let panics: Vec<_> = partitions().all().map(|id| engine.handle.send(poison(id, 0)).unwrap()).collect();
        if let Ok(pending) = in_hand {
            // Answered before the panic, or honestly lost: never refused.
            pending.await.into_iter().for_each(|reply| assert_eq!(status(&reply), Status::AwaitingPayment));
        }
        for pending in panics {
            assert_eq!(pending.await, Err(Unanswered::Lost));
        }
        for n in 0..20 {
            let reply = retried(&engine, place(&format!("before-{n}"), "A")).await;
            assert!(reply.replayed, "the order was forgotten");
            assert_eq!(status(&reply), Status::AwaitingPayment);
        }
        let again = retried(&engine, place("in-hand", "A")).await;
        assert_eq!(status(&again), Status::AwaitingPayment);
        let reply = retried(&engine, Command::GetStock { sku: sku("A") }).await;
        let Ok(answer::Answer::Stock(view)) = reply.outcome else { panic!("no stock") };
        assert_eq!(view.locations[0].buckets.held.units(), 21);
        assert!(engine.handle.router().table().lives.iter().all(|life| *life == 1));
        engine.stop().await;
    }
}

/// What a client does: the same request again until there is an answer. An order that was journalled before the panic may
/// still ask its SKUs.
async fn retried(engine: &Engine, command: Command) -> answer::Reply {
    loop {
        match engine.handle.execute(command.clone()).await {
            Ok(answer::Reply { outcome: Err(Rejection::KeyInProgress), .. }) | Err(_) => tokio::task::yield_now().await,
            Ok(reply) => return reply,
        }
    }
}

fn reserve(key: &str) -> Command {
    let Command::Place { order, placed } = place(key, "A") else { unreachable!("it places") };
    let expires_at = wall().plus(60_000);
    Command::Place { order, placed: Box::new(Placed { kind: Kind::Reservation, expires_at, ..*placed }) }
}

async fn extended(engine: &Engine, key: &str, ttl_ms: u64) -> Result<(), Rejection> {
    let reply = retried(engine, Command::Extend { order: id(key), ttl_ms }).await;
    reply.outcome.map(drop)
}

#[actix::test]
async fn values_that_are_changed_count_for_what_comes_also_after_a_partition_was_rebuilt() {
    for causality in BOTH {
        let options = Options { shards: 2, policy: Policy { max_life_ms: u64::MAX, ..Policy::default() }, ..Options::default() };
        let mut knobs = options.knobs();
        let engine = start(causality, options);
        engine.handle.execute(stock("A", 100)).await.unwrap();
        retried(&engine, reserve("held")).await;
        assert_eq!(extended(&engine, "held", 600_000).await, Ok(()));
        knobs.policy.max_extensions = 1;
        knobs.credits = 7;
        engine.handle.tune(&knobs);
        assert!(engine.handle.router().table().inboxes.iter().all(|inbox| inbox.credits.limit() == 7));
        let refused = Err(Rejection::HoldLimit(HoldLimit::Extensions { max: 1 }));
        assert_eq!(extended(&engine, "held", 1_200_000).await, refused);
        let panicked = engine.handle.send(poison(id("held").partition(), 0)).unwrap();
        assert_eq!(panicked.await, Err(Unanswered::Lost));
        assert_eq!(extended(&engine, "held", 1_200_000).await, refused);
        knobs.policy.max_extensions = 2;
        engine.handle.tune(&knobs);
        assert_eq!(extended(&engine, "held", 1_200_000).await, Ok(()));
        engine.stop().await;
    }
}

#[actix::test]
async fn replies_reach_the_thread_that_asked() {
    for causality in BOTH {
        let engine = start(causality, Options::default());
        engine.handle.execute(stock("A", 1000)).await.unwrap();
        let (done, finished) = std::sync::mpsc::channel();
        let arbiters: Vec<Arbiter> = (0..3).map(|_| Arbiter::new()).collect();
        for (thread, arbiter) in arbiters.iter().enumerate() {
            let (handle, done) = (engine.handle.clone(), done.clone());
            arbiter.spawn_fn(move || {
                actix_rt::spawn(async move {
                    for n in 0..100 {
                        let reply = handle.execute(place(&format!("{thread}-{n}"), "A")).await.unwrap();
                        done.send(status(&reply)).unwrap();
                    }
                });
            });
        }
        drop(done);
        let answered = actix_rt::task::spawn_blocking(move || finished.iter().take(300).collect::<Vec<_>>()).await.unwrap();
        assert!(answered.iter().all(|status| *status == Status::AwaitingPayment));
        assert_eq!(answered.len(), 300);
        arbiters.iter().for_each(|arbiter| assert!(arbiter.stop()));
        engine.stop().await;
    }
}

/// The log before its snapshots could not go while a partition had nothing to say.
#[actix::test]
async fn a_snapshot_that_is_asked_for_is_taken_of_a_quiet_partition_too_and_moves_to_the_commits_of_others() {
    let engine = start(Causality::OneLog, Options { shards: 2, ..Options::default() });
    let journal = engine.journal().clone();
    let quiet = partitions().all().find(|id| *id != partitions().of_sku(&sku("A"))).unwrap();
    engine.handle.execute(stock("A", 1)).await.unwrap();
    engine.handle.snapshot(quiet);
    // The shard answers behind what it was asked for.
    engine.handle.reports().await;
    let end = journal.end(LogId(0));
    assert!(engine.stop().await);
    let heads = journal.snapshot_heads(quiet).unwrap();
    assert_eq!(heads.iter().map(|head| (head.seq, head.after)).collect::<Vec<_>>(), [(0, end)]);
}

/// A start reads the newest snapshot, and the log before the one it relied on may be gone.
#[actix::test]
async fn a_later_snapshot_never_follows_from_fewer_commits() {
    let engine = start(Causality::OneLog, Options { shards: 2, snapshot_events: 0, ..Options::default() });
    let journal = engine.journal().clone();
    let busy = partitions().of_sku(&sku("A"));
    // Its shard hears of no commit of the other one.
    let other = |name: &String| (partitions().of_sku(&sku(name)).0 + busy.0) % 2 == 1;
    let quiet = (0..).map(|number: u32| format!("B{number}")).find(other).unwrap();
    let partition = partitions().of_sku(&sku(&quiet));
    for units in 1..=5 {
        engine.handle.execute(stock("A", units)).await.unwrap();
    }
    engine.handle.snapshot(partition);
    engine.handle.reports().await;
    let end = journal.end(LogId(0));
    engine.handle.execute(stock(&quiet, 1)).await.unwrap();
    engine.stop().await;
    let heads = journal.snapshot_heads(partition).unwrap();
    assert!(heads.len() == 2 && heads.iter().all(|head| head.after >= end), "{heads:?}, {end}");
}

#[actix::test]
async fn fewer_events_between_two_snapshots_count_without_waiting_for_the_next() {
    let rare = Options { snapshot_events: 1_000_000, ..Options::default() };
    let engine = start(Causality::OneLog, rare.clone());
    let journal = engine.journal().clone();
    for units in 1..=5 {
        engine.handle.execute(stock("A", units)).await.unwrap();
    }
    engine.handle.tune(&Options { snapshot_events: 1, ..rare }.knobs());
    engine.handle.execute(stock("A", 6)).await.unwrap();
    engine.handle.execute(stock("A", 7)).await.unwrap();
    engine.stop().await;
    let heads = journal.snapshot_heads(partitions().of_sku(&sku("A"))).unwrap();
    assert_eq!(heads.len(), 2, "one with the sixth count, one at the end: {heads:?}");
}

/// As a crash leaves it: the facts, and nothing that follows from them.
fn facts_of(journal: &MemoryJournal) -> Arc<MemoryJournal> {
    let copy = MemoryJournal::with(journal.causality(), partitions());
    let append = |_, frame: &[u8]| {
        let events = read_frame(frame)?.count() as u32;
        let entries = frame[Batch::default().frame().len()..].to_vec();
        copy.append(LogId(0), &Batch { entries, events }).map(|_| ControlFlow::Continue(()))
    };
    journal.read(LogId(0), 0, &mut { append }).unwrap();
    Arc::new(copy)
}

/// Each start after a crash would replay what those before it did, and more.
#[actix::test]
async fn a_stop_takes_snapshots_of_what_the_start_replayed() {
    let lived = Arc::new(MemoryJournal::with(Causality::OneLog, partitions()));
    let engine = start_on(&lived, Options::default());
    engine.handle.execute(stock("A", 1)).await.unwrap();
    engine.stop().await;
    let crashed = facts_of(&lived);
    let id = partitions().of_sku(&sku("A"));
    assert_eq!(crashed.snapshot_heads(id).unwrap(), []);
    start_on(&crashed, Options::default()).stop().await;
    let heads = crashed.snapshot_heads(id).unwrap();
    assert!(heads.len() == 1 && heads == lived.snapshot_heads(id).unwrap(), "{heads:?}");
}
