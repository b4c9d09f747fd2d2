//! Each sentence of the adviser, earned by a minute of frames.

use super::*;
use crate::settings::{Settings, Tuned};
use crate::tuning::Tuning;
use crate::tuning::plan::{InForce, plan};

fn shard(number: usize, busy: f64, wait_p99_ms: f64) -> ShardFrame {
    ShardFrame { shard: number, depth: 40, limit: 32_768, busy, wait_p99_ms, partitions: 32, requests: 1_000 }
}

fn sku(name: &str, shard: usize, count: u64) -> HotSku {
    HotSku { sku: name.to_owned(), partition: 17, shard, count }
}

/// Two shards at ease on four cores.
fn calm() -> Frame {
    Frame {
        cores: 4,
        idle_cores: 2.0,
        shards: vec![shard(0, 0.31, 0.4), shard(1, 0.2, 0.3)],
        sync_p99_ms: 1.2,
        sync_busy: 0.4,
        lines_sampled: 1_000,
        hot: vec![sku("MUG", 0, 20), sku("CUP", 1, 10)],
        ..Frame::default()
    }
}

fn minute(frame: &Frame) -> Vec<Frame> {
    vec![frame.clone(); 60]
}

#[test]
fn each_sentence_is_earned_by_what_it_says() {
    let busy = || Frame { shards: vec![shard(0, 0.4, 1.0), shard(1, 0.94, 31.0)], ..calm() };
    let table: [(&str, Frame, &str, Option<Action>); 8] = [
        (
            "hot_sku",
            Frame { hot: vec![sku("X", 1, 780), sku("MUG", 0, 20)], ..busy() },
            "shard 1: wait p99 31 ms, 94 % busy, 78 % of the lines are for X in partition 17. More shards will not help X: give partition 17 a \
             shard of its own (1 move), or let in fewer buyers at a time",
            Some(Action::Isolate { partition: 17 }),
        ),
        (
            "few_shards",
            busy(),
            "shard 1 is busy with 2 SKUs or more and 2 cores are idle: 2 → 4 shards moves about 32 partitions",
            Some(Action::Tune { key: "engine.shards", value: 4 }),
        ),
        (
            "slow_disk",
            Frame { sync_p99_ms: 38.0, sync_busy: 0.97, overloaded: 3, over_share: 3, ..calm() },
            "the disk is the limit (sync p99 38 ms): shards and credits will not help",
            None,
        ),
        (
            "uneven_heat",
            Frame { shards: vec![ShardFrame { requests: 9_000, ..shard(0, 0.7, 3.0) }, shard(1, 0.1, 0.3)], ..calm() },
            "partitions are unevenly hot: one shard has 1.8 times the requests of the mean; levelling moves some",
            Some(Action::Level),
        ),
        (
            "few_credits",
            Frame { overloaded: 3, ..calm() },
            "credits run out before the shard does: 32,768 → 65,536",
            Some(Action::Tune { key: "engine.credits", value: 65_536 }),
        ),
        (
            "small_share",
            Frame { over_share: 20, ..calm() },
            "1,200 requests were refused because their client had its share in hand: where that client is a shop, raise server.key_share_percent",
            None,
        ),
        (
            "many_credits",
            Frame { shards: vec![ShardFrame { depth: 32_768, ..shard(0, 0.5, 4_000.0) }], ..calm() },
            "requests wait longer than buyers do (4000 ms): credits → 8,192",
            Some(Action::Tune { key: "engine.credits", value: 8_192 }),
        ),
        ("nothing_to_do", calm(), "nothing to do: busiest shard 31 %, wait p99 0.4 ms", None),
    ];
    for (code, frame, sentence, action) in table {
        let advice = advise(&minute(&frame));
        let expected = Advice { code, sentence: sentence.to_owned(), action };
        assert_eq!(advice, [expected], "{code}");
    }
}

#[test]
fn every_setting_that_is_proposed_can_be_planned() {
    let busy = Frame { shards: vec![shard(0, 0.4, 1.0), shard(1, 0.94, 31.0)], ..calm() };
    let few = Frame { overloaded: 3, ..calm() };
    let many = Frame { shards: vec![ShardFrame { depth: 32_768, ..shard(0, 0.5, 4_000.0) }], ..calm() };
    let tuning = Tuning::new(Tuned::default(), BTreeMap::new());
    let in_force = InForce { revision: 0, settings: Settings::default(), most_shards: 64, wanted: BTreeMap::new() };
    for frame in [busy, few, many] {
        let advice = advise(&minute(&frame)).remove(0);
        let Some(Action::Tune { key, value }) = advice.action else { panic!("{advice:?}") };
        let plan = plan(&tuning, &in_force, &BTreeMap::from([(key.to_owned(), value.into())])).unwrap();
        assert_eq!(plan.changes[0].knob.key, key, "it is live");
    }
}

#[test]
fn what_is_not_earned_is_not_said() {
    let busy = || Frame { shards: vec![shard(0, 0.4, 1.0), shard(1, 0.94, 31.0)], ..calm() };
    let rows = [
        ("no core is idle", Frame { idle_cores: 0.4, ..busy() }),
        ("the hot SKU is on another shard", Frame { hot: vec![sku("X", 0, 780)], ..busy() }),
        ("one SKU is warm and not hot", Frame { hot: vec![sku("X", 1, 400)], ..busy() }),
        ("slow syncs, now and then", Frame { sync_p99_ms: 38.0, sync_busy: 0.2, ..calm() }),
        ("busy, and nobody waits", Frame { shards: vec![shard(0, 0.95, 2.0)], ..calm() }),
        ("refused, and the shard is behind", Frame { overloaded: 9, over_share: 9, shards: vec![shard(0, 0.5, 25.0)], ..calm() }),
    ];
    for (rule, frame) in rows {
        let codes: Vec<&str> = advise(&minute(&frame)).iter().map(|advice| advice.code).collect();
        assert_eq!(codes, ["nothing_to_do"], "{rule}");
    }
}

#[test]
fn the_window_is_looked_at_and_not_the_last_second() {
    let mut frames = minute(&calm());
    frames[3].overloaded = 1;
    assert_eq!(advise(&frames)[0].code, "few_credits");
    let mut frames = minute(&calm());
    frames[59].shards[1] = shard(1, 1.0, 31.0);
    assert_eq!(advise(&frames)[0].code, "nothing_to_do", "busy for a second");
    assert_eq!(advise::<Frame>(&[])[0].code, "no_frame");
}
