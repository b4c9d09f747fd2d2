//! What operators change: journalled, counted, remembered for a while, and decided by nothing.

use crate::world::World;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Change, Changed};
use holdfast_engine::ids::{KeyName, Label, PartitionId, RequestId};
use holdfast_engine::limits;

const ID: PartitionId = PartitionId(0);

fn change(what: &str, after: &str) -> Change {
    Change {
        number: 0,
        who: KeyName::new("ada"),
        what: Label::new(what).unwrap(),
        before: None,
        after: Label::new(after),
        note: None,
        request_id: RequestId::new("r").unwrap(),
    }
}

fn changes(answer: Answer) -> Vec<Changed> {
    if let Answer::Changes(changes) = answer { changes } else { panic!("{answer:?}") }
}

fn record(world: &mut World, all: &[(&str, &str)]) -> Vec<u64> {
    let wanted = all.iter().map(|(what, after)| change(what, after)).collect();
    numbers(&changes(world.ask(Command::RecordChanges { partition: ID, changes: wanted }).unwrap()))
}

fn list(world: &mut World, before: Option<u64>, limit: usize) -> Vec<Changed> {
    changes(world.ask(Command::ListChanges { partition: ID, before, limit }).unwrap())
}

fn numbers(changes: &[Changed]) -> Vec<u64> {
    changes.iter().map(|changed| changed.change.number).collect()
}

#[test]
fn changes_are_counted_and_listed_the_newest_first() {
    let mut world = World::new();
    assert_eq!(record(&mut world, &[("engine.credits", "10"), ("log.level", "debug")]), [1, 2]);
    assert_eq!(record(&mut world, &[("engine.credits", "20")]), [3]);
    assert_eq!(numbers(&list(&mut world, None, 10)), [3, 2, 1]);
    assert_eq!(numbers(&list(&mut world, None, 1)), [3]);
    assert_eq!(numbers(&list(&mut world, Some(3), 10)), [2, 1]);
    let newest = list(&mut world, None, 1).remove(0);
    assert_eq!((newest.at, newest.change.after), (world.now, Label::new("20")));
}

#[test]
fn the_oldest_changes_are_forgotten_and_numbers_go_on() {
    let mut world = World::new();
    let many = vec![("log.level", "info"); limits::MAX_CHANGES + 1];
    record(&mut world, &many);
    let kept = numbers(&list(&mut world, None, usize::MAX));
    assert_eq!((kept.len(), kept.last()), (limits::MAX_CHANGES, Some(&2)));
    assert_eq!(record(&mut world, &[("log.level", "info")]), [limits::MAX_CHANGES as u64 + 2]);
}
