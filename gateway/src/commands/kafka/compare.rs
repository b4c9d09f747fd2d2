//! The topic against the journal, record by record.
//!
//! Invariant: a record counts as an event only if key, type, id, meaning and check value, where it has one, are those of the
//! event at its place.

use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_storage::kafka::relay::Encoded;
use holdfast_storage::kafka::relay::reader::TopicRecord;
use serde_json::Value;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::Xxh3Default;

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// In the journal.
    pub(super) events: u64,
    /// In the topic.
    pub(super) records: u64,
    /// Events without a record.
    pub(super) missing: u64,
    /// Records that are no event of this journal.
    pub(super) invented: u64,
    /// Events of which the first record comes after that of a later event of the partition.
    pub(super) out_of_order: u64,
    /// Further records of an event: consumers drop them by their sequence.
    pub(super) duplicates: u64,
    /// Events that were published and are older than what the topic keeps.
    pub(super) expired: u64,
    /// Records of events that the journal no longer keeps: there is nothing to compare them with.
    pub(super) purged: u64,
    /// The first thing that is wrong, in words.
    pub(super) first: Option<String>,
}

impl Tally {
    pub(super) fn clean(&self) -> bool {
        self.missing == 0 && self.invented == 0 && self.out_of_order == 0
    }

    fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.first.get_or_insert_with(what);
    }
}

#[derive(Debug, Default)]
struct Track {
    /// Fingerprint and check value of each event, the first has sequence 1.
    prints: Vec<(u64, u32)>,
    seen: Vec<bool>,
    first_seen: Option<Seq>,
    /// Up to here nothing is compared.
    forgotten: Seq,
    /// The last event of which a first record was seen.
    furthest: Seq,
}

#[derive(Debug, Default)]
pub(super) struct Comparison {
    tracks: BTreeMap<PartitionId, Track>,
    tally: Tally,
}

impl Comparison {
    /// Before any event: those up to `upto` may be gone from the journal.
    pub(super) fn forget(&mut self, partition: PartitionId, upto: Seq) {
        self.tracks.entry(partition).or_default().forgotten = upto;
    }

    /// An event of the journal. They come in the order of their partition.
    pub(super) fn expect(&mut self, partition: PartitionId, seq: Seq, event: &Encoded, check: u32) {
        let track = self.tracks.entry(partition).or_default();
        if seq <= track.forgotten {
            return;
        }
        let body = serde_json::from_slice(&event.body).unwrap_or(Value::Null);
        track.prints.resize(seq.saturating_sub(1) as usize, (0, 0));
        track.prints.push((fingerprint([&event.id, &event.key, &event.event_type], &body), check));
        track.seen.resize(track.prints.len(), false);
        self.tally.events += 1;
    }

    /// A record of the topic. `own` is the name of the journal.
    pub(super) fn see(&mut self, record: &TopicRecord, own: Option<&str>) {
        self.tally.records += 1;
        if self.forgotten(record, own) {
            self.tally.purged += 1;
            return;
        }
        let Some((partition, seq)) = self.identify(record, own) else {
            self.tally.invented += 1;
            return self
                .tally
                .wrong(|| format!("the record at {}:{} is no event of this journal", record.topic_partition, record.offset));
        };
        let track = self.tracks.entry(partition).or_default();
        track.first_seen.get_or_insert(seq);
        if std::mem::replace(&mut track.seen[seq as usize - 1], true) {
            self.tally.duplicates += 1;
        } else if seq < track.furthest {
            self.tally.out_of_order += 1;
            let furthest = track.furthest;
            self.tally.wrong(|| format!("event {seq} of partition {} comes after event {furthest}", partition.0));
        } else {
            track.furthest = seq;
        }
    }

    fn forgotten(&self, record: &TopicRecord, own: Option<&str>) -> bool {
        let (Some(partition), Some(seq)) = (record.partition, record.seq) else { return false };
        record.journal.as_deref() == own && self.tracks.get(&partition).is_some_and(|track| seq <= track.forgotten)
    }

    fn identify(&self, record: &TopicRecord, own: Option<&str>) -> Option<(PartitionId, Seq)> {
        let (partition, seq) = (record.partition?, record.seq?);
        if record.journal.as_deref() != own {
            return None;
        }
        let (print, check) = *self.tracks.get(&partition)?.prints.get(usize::try_from(seq.checked_sub(1)?).ok()?)?;
        let body: Value = serde_json::from_slice(&record.body).ok()?;
        let found = [record.id.as_deref()?, record.key.as_deref()?, record.event_type.as_deref()?];
        let same = record.check.is_none_or(|found| found == check) && fingerprint(found, &body) == print;
        same.then_some((partition, seq))
    }

    /// Counts what is missing. `cut` says for a partition whose oldest records are no longer kept up to which event it was
    /// published.
    pub(super) fn finish(mut self, cut: impl Fn(PartitionId) -> Option<Seq>) -> Tally {
        for (partition, track) in &self.tracks {
            let expired = cut(*partition).map_or(0, |published| track.first_seen.map_or(published, |first| first - 1));
            for (seq, seen) in (1..).zip(&track.seen).filter(|(seq, _)| *seq > track.forgotten) {
                if *seen {
                    continue;
                }
                if seq <= expired {
                    self.tally.expired += 1;
                } else {
                    self.tally.missing += 1;
                    self.tally.wrong(|| format!("event {seq} of partition {} is not in the topic", partition.0));
                }
            }
        }
        self.tally
    }
}

/// Of the meaning: the order of members in the JSON does not matter.
fn fingerprint(texts: [&str; 3], body: &Value) -> u64 {
    let mut hasher = Xxh3Default::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.update(body.to_string().as_bytes());
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Option<&str> = Some("own");
    const CHECK: u32 = 0xAB;

    fn encoded(seq: Seq) -> Encoded {
        let body = format!(r#"{{"a": 1, "sequence": {seq}}}"#).into_bytes();
        Encoded { id: format!("3-{seq}"), key: "S".to_owned(), event_type: "t".to_owned(), body }
    }

    fn record(seq: Seq) -> TopicRecord {
        let Encoded { id, key, event_type, .. } = encoded(seq);
        TopicRecord {
            topic_partition: 1,
            offset: 0,
            key: Some(key),
            partition: Some(PartitionId(3)),
            seq: Some(seq),
            id: Some(id),
            event_type: Some(event_type),
            journal: OWN.map(str::to_owned),
            check: Some(CHECK),
            body: format!(r#"{{"sequence":{seq},"a":1}}"#).into_bytes(),
        }
    }

    fn compare(events: Seq, records: &[TopicRecord]) -> Tally {
        let mut comparison = Comparison::default();
        (1..=events).for_each(|seq| comparison.expect(PartitionId(3), seq, &encoded(seq), CHECK));
        records.iter().for_each(|record| comparison.see(record, OWN));
        comparison.finish(|_| None)
    }

    fn records(seqs: &[Seq]) -> Vec<TopicRecord> {
        seqs.iter().map(|seq| record(*seq)).collect()
    }

    #[test]
    fn the_whole_journal_in_order_is_clean_and_duplicates_do_no_harm() {
        let tally = compare(3, &records(&[1, 2, 1, 2, 3]));
        assert!(tally.clean());
        assert_eq!((tally.events, tally.records, tally.duplicates), (3, 5, 2));
    }

    #[test]
    fn events_that_the_journal_no_longer_keeps_are_not_held_against_the_topic() {
        let mut comparison = Comparison::default();
        comparison.forget(PartitionId(3), 2);
        (2..=4).for_each(|seq| comparison.expect(PartitionId(3), seq, &encoded(seq), CHECK));
        records(&[1, 2, 4]).iter().for_each(|record| comparison.see(record, OWN));
        let tally = comparison.finish(|_| None);
        assert_eq!((tally.purged, tally.invented, tally.missing, tally.events), (2, 0, 1, 2));
    }

    #[test]
    fn what_is_missing_late_or_made_up_is_told_apart() {
        assert_eq!(compare(3, &records(&[1, 2])).missing, 1);
        let late = compare(3, &records(&[1, 3, 2]));
        assert_eq!((late.missing, late.out_of_order), (0, 1));
        assert_eq!(compare(2, &records(&[1, 2, 3])).invented, 1);
    }

    #[test]
    fn a_record_with_another_meaning_is_invented() {
        let changed: [fn(&mut TopicRecord); 7] = [
            |record| record.body = br#"{"sequence":1,"a":2}"#.to_vec(),
            |record| record.key = Some("T".to_owned()),
            |record| record.event_type = Some("u".to_owned()),
            |record| record.id = Some("3-2".to_owned()),
            |record| record.journal = Some("other".to_owned()),
            |record| record.seq = None,
            |record| record.check = Some(0),
        ];
        for change in changed {
            let mut record = record(1);
            change(&mut record);
            let tally = compare(1, &[record]);
            assert_eq!((tally.invented, tally.missing), (1, 1));
        }
    }

    #[test]
    fn a_record_of_before_there_were_check_values_is_an_event() {
        assert!(compare(1, &[TopicRecord { check: None, ..record(1) }]).clean());
    }

    #[test]
    fn what_the_topic_no_longer_keeps_is_not_missing() {
        let mut comparison = Comparison::default();
        (1..=4).for_each(|seq| comparison.expect(PartitionId(3), seq, &encoded(seq), CHECK));
        comparison.see(&record(3), OWN);
        let tally = comparison.finish(|_| Some(3));
        assert_eq!((tally.expired, tally.missing), (2, 1));
    }
}
