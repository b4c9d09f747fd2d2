//! The bytes of every event, held to golden files, and what damaged bytes may do: be refused.

pub(crate) mod examples;
mod largest;
mod origins;

use super::*;
use crate::event::{ArchiveFact, Event, KeyFact, OperatorFact, OrderFact, PartitionFact, StockFact};
use crate::ids::{KeyHash, Partitions, RequestId};
use crate::partition::{Causality, Partition};
use crate::time::{Policy, Timestamp};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The snapshot of version 1, that of sections, and that with what operators changed.
const SNAPSHOTS: [&str; 3] = ["snapshot.partition", "snapshot.sections", "snapshot.changes"];
/// What [`origins`] compares: records, a row and a snapshot.
const ORIGINS: [&str; 3] = ["origin.", "row.origins", "snapshot.origins"];

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn record(event: &Event) -> Record {
    Record { seq: 7, at: Timestamp::new(1_700_000_000_000), event: event.clone() }
}

/// With `HOLDFAST_ADD_GOLDEN` set, files of new variants are written; one that exists is never overwritten.
#[expect(clippy::disallowed_methods, reason = "golden files are read by the test, not by the engine")]
fn stored(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = golden().join(format!("{name}.hex"));
    if !path.exists() && std::env::var("HOLDFAST_ADD_GOLDEN").is_ok() {
        std::fs::write(&path, HEXLOWER.encode(bytes) + "\n").unwrap();
    }
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("no golden file for {name}, see HOLDFAST_ADD_GOLDEN: {error}"));
    HEXLOWER.decode(text.trim_ascii_end()).unwrap()
}

#[test]
fn every_event_is_written_and_read_as_it_always_was() {
    let mut names = BTreeSet::new();
    for event in examples::all() {
        let name = examples::name(&event);
        let bytes = encode_record(&record(&event));
        let golden = stored(&name, &bytes);
        assert_eq!(HEXLOWER.encode(&bytes), HEXLOWER.encode(&golden), "{name} is written as before");
        assert_eq!(decode_record(&golden), Ok(record(&event)), "{name} is read as before");
        assert!(names.insert(name.clone()), "two examples are named {name}");
    }
    let files = std::fs::read_dir(golden()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let files = files
        .map(|file| file.trim_end_matches(".hex").to_owned())
        .filter(|name| !ORIGINS.iter().any(|other| name.starts_with(other)));
    let files: BTreeSet<String> = files.collect();
    let files = &files - &BTreeSet::from(SNAPSHOTS.map(str::to_owned));
    assert_eq!(files, names, "one file an example, one example a file");
}

/// Where the log under a snapshot has been deleted, one that is no longer read as it was written is lost.
#[test]
fn a_snapshot_is_written_and_read_as_it_always_was() {
    let partitions = Partitions::new(8).unwrap();
    let mut folded = Partition::new(PartitionId(3), partitions, Causality::OneLog, Policy::default());
    let wanted = ["stock.set", "order.placed-order", "stock.hold_placed", "order.held", "key.answered-adjusted", "archive.keys"];
    for (name, seq) in wanted.into_iter().zip(1..) {
        let event = examples::all().into_iter().find(|event| examples::name(event) == name).unwrap();
        folded.apply(Record { seq, at: Timestamp::new(1_700_000_000_000), event });
    }
    let [image, sections] = [SNAPSHOTS[0], SNAPSHOTS[1]].map(|name| stored(name, &folded.snapshot()));
    assert_eq!(HEXLOWER.encode(&folded.snapshot()), HEXLOWER.encode(&sections), "it is written as before");
    for golden in [image, sections] {
        let read = Partition::restore(PartitionId(3), partitions, Causality::OneLog, Policy::default(), &golden).unwrap();
        assert_eq!((read.hash(), read.counts(), read.live_holds()), (folded.hash(), (1, 1), 1), "it is read as before");
    }
}

#[test]
fn a_snapshot_keeps_what_operators_changed_in_a_section_of_its_own() {
    let partitions = Partitions::new(8).unwrap();
    let mut folded = Partition::new(PartitionId(0), partitions, Causality::OneLog, Policy::default());
    let without = folded.snapshot();
    let event = examples::all().into_iter().find(|event| examples::name(event) == "operator.changed").unwrap();
    folded.apply(Record { seq: 1, ..record(&event) });
    let golden = stored(SNAPSHOTS[2], &folded.snapshot());
    assert_eq!(HEXLOWER.encode(&folded.snapshot()), HEXLOWER.encode(&golden), "it is written as before");
    let read = Partition::restore(PartitionId(0), partitions, Causality::OneLog, Policy::default(), &golden).unwrap();
    assert_eq!(read.hash(), folded.hash(), "it is read as before, and part of the state");
    let tags = |snapshot: &[u8]| sections::read(snapshot).unwrap().iter().map(|(tag, _)| *tag).collect::<Vec<_>>();
    assert_eq!((tags(&golden), tags(&without)), (vec![1, 3], vec![1]), "a section that would be empty is not written");
}

#[test]
fn a_snapshot_whose_sections_are_not_what_this_build_knows_is_refused() {
    let section = |tag: u16, bytes: &[u8]| [&tag.to_le_bytes()[..], &(bytes.len() as u64).to_le_bytes(), bytes].concat();
    let snapshot = |sections: &[Vec<u8>]| [&[version::SNAPSHOT][..], &sections.concat()].concat();
    let known = section(sections::IMAGE, b"image");
    let newer = |tag| Error::Newer(version::Newer::Section { tag });
    let misplaced = |tag: u16| Error::Malformed(format!("section {tag} is not where it belongs"));
    let cases = [
        ("a section of a newer build", snapshot(&[known.clone(), section(sections::NEWEST + 1, b"")]), newer(4)),
        ("the last tag there is", snapshot(&[known.clone(), section(u16::MAX, b"?")]), newer(u16::MAX)),
        ("a section twice", snapshot(&[known.clone(), known.clone()]), misplaced(1)),
        ("a section without a tag", snapshot(&[section(0, b"")]), misplaced(0)),
        ("half a head", snapshot(&[known.clone(), vec![1; 9]]), Error::Short),
        ("a section cut short", snapshot(&[known[..known.len() - 1].to_vec()]), Error::Short),
        ("a length beyond all memory", snapshot(&[[&[1, 0][..], &[u8::MAX; 8]].concat()]), Error::Short),
        (
            "a version to come",
            vec![version::SNAPSHOT + 1],
            version::Newer::Version { of: version::Kind::Snapshot, found: 3 }.into(),
        ),
        ("a version that never was", vec![0], version::unknown(0)),
        ("nothing", Vec::new(), Error::Short),
    ];
    for (rule, bytes, then) in cases {
        assert_eq!(sections::read(&bytes), Err(then), "{rule}");
    }
    assert_eq!(sections::read(&snapshot(&[known])), Ok(vec![(sections::IMAGE, &b"image"[..])]));
}

/// Reads variant numbers until one is unknown: there must be as many as there are examples.
fn variants<'a, T: Deserialize<'a>>() -> usize {
    let known = |number: &u8| {
        let bytes: &'static [u8] = Box::leak(Box::new([version::ROW, *number]));
        matches!(decode::<T>(bytes), Ok(_) | Err(Error::Short))
    };
    (0..u8::MAX).take_while(known).count()
}

#[test]
fn a_record_of_stock_is_known_without_decoding_it() {
    for event in examples::all().into_iter().chain(examples::with_origin().map(|(_, event)| event)) {
        let stock = matches!(event, Event::Stock { .. });
        for (seq, at) in [(1, 0), (300, 1_700_000_000_000), (u64::MAX, u64::MAX)] {
            let mut batch = Batch::default();
            batch.push(PartitionId(7), &Record { seq, at: Timestamp::new(at), event: event.clone() });
            let frame = batch.frame();
            let entry = read_frame(&frame).unwrap().next().unwrap().unwrap();
            assert_eq!(entry.concerns_stock(), stock, "{event:?}");
        }
    }
}

#[test]
fn every_variant_has_an_example() {
    let all = examples::all();
    let names: BTreeSet<String> = all.iter().map(examples::name).collect();
    let families: BTreeSet<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
    let count = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    let kinds = |prefix: &str| {
        let kind = |name: &String| name.strip_prefix(prefix).map(|rest| rest.split('-').next().unwrap_or_default().to_owned());
        names.iter().filter_map(kind).collect::<BTreeSet<_>>().len()
    };
    use crate::event::{Adjustment, Bucket, HoldLimit, Kind, Level, RefundReason, Refused, ReleaseCause, StoredResponse};
    let found = [
        ("event", variants::<Event>(), families.len()),
        ("stock fact", variants::<StockFact>(), kinds("stock.")),
        ("order fact", variants::<OrderFact>(), kinds("order.")),
        ("key fact", variants::<KeyFact>(), kinds("key.")),
        ("archive fact", variants::<ArchiveFact>(), kinds("archive.")),
        ("partition fact", variants::<PartitionFact>(), kinds("partition.")),
        ("operator fact", variants::<OperatorFact>(), kinds("operator.")),
        ("bucket", variants::<Bucket>(), count("stock.adjusted-")),
        ("release cause", variants::<ReleaseCause>(), count("stock.hold_released-")),
        ("level", variants::<Level>(), count("stock.level_crossed-")),
        ("kind", variants::<Kind>(), count("order.placed-")),
        ("refund reason", variants::<RefundReason>(), count("order.refund_due-")),
        ("kept answer", variants::<StoredResponse>(), kinds("key.answered-")),
        ("refusal", variants::<Refused>(), kinds("key.answered-refused-")),
        ("hold limit", variants::<HoldLimit>(), count("key.answered-refused-hold_limit-")),
        ("adjustment refusal", variants::<Adjustment>(), count("key.answered-adjustment_refused-")),
    ];
    for (name, variants, examples) in found {
        assert_eq!(variants, examples, "{name}");
    }
}

fn frame_of(events: &[Event]) -> (Vec<u8>, Vec<(PartitionId, Record)>) {
    let (mut batch, mut records) = (Batch::default(), Vec::new());
    for (event, n) in events.iter().zip(0u16..) {
        let record = Record { seq: u64::from(n) + 1, ..record(event) };
        batch.push(PartitionId(n % 3), &record);
        records.push((PartitionId(n % 3), record));
    }
    assert_eq!(batch.events as usize, events.len());
    (batch.frame(), records)
}

fn walk(frame: &[u8]) -> Result<Vec<(PartitionId, Record)>, Error> {
    let entry = |entry: Result<Entry<'_>, Error>| {
        let entry = entry?;
        let record = entry.decode()?;
        assert_eq!(entry.seq, record.seq, "the entry is labelled with its record");
        Ok((entry.partition, record))
    };
    read_frame(frame)?.map(entry).collect()
}

#[test]
fn a_frame_gives_back_what_was_put_in() {
    let (frame, records) = frame_of(&examples::all());
    assert_eq!(walk(&frame), Ok(records));
    assert_eq!(frame_len(&frame), Ok(frame.len()));
}

#[test]
fn batches_joined_are_one_frame_and_a_batch_taken_leaves_nothing() {
    let all = examples::all();
    let (mut first, mut second, mut whole) = (Batch::default(), Batch::default(), Batch::default());
    for (n, event) in all.iter().enumerate() {
        let half = if n < all.len() / 2 { &mut first } else { &mut second };
        half.push(PartitionId(1), &record(event));
        whole.push(PartitionId(1), &record(event));
    }
    first.extend(&second);
    assert_eq!((first.frame(), first.events), (whole.frame(), whole.events));
    let taken = first.take();
    assert_eq!(taken.frame(), whole.frame());
    assert!(first.is_empty() && first.entries.is_empty());
}

#[test]
fn an_empty_batch_is_a_frame_without_entries() {
    assert_eq!(walk(&Batch::default().frame()), Ok(Vec::new()));
}

#[test]
fn a_frame_that_is_not_whole_is_refused_for_what_is_wrong_with_it() {
    struct Case {
        rule: &'static str,
        damage: fn(&mut Vec<u8>),
        then: Error,
    }
    let cases = [
        Case { rule: "nothing", damage: |frame| frame.clear(), then: Error::Short },
        Case { rule: "half a header", damage: |frame| frame.truncate(11), then: Error::Short },
        Case { rule: "the last byte missing", damage: |frame| frame.truncate(frame.len() - 1), then: Error::Short },
        Case { rule: "a byte too many", damage: |frame| frame.push(0), then: Error::LeftOver(1) },
        Case { rule: "another magic", damage: |frame| frame[0] ^= 1, then: Error::Magic },
        Case { rule: "another checksum", damage: |frame| frame[4] ^= 1, then: Error::Checksum },
        Case { rule: "another body", damage: |frame| frame[30] ^= 1, then: Error::Checksum },
        Case { rule: "a length beyond the end", damage: |frame| frame[11] = 0xff, then: Error::Short },
    ];
    let (whole, _) = frame_of(&examples::all()[..2]);
    for Case { rule, damage, then } in cases {
        let mut frame = whole.clone();
        damage(&mut frame);
        assert_eq!(walk(&frame), Err(then), "{rule}");
    }
}

/// A frame whose checksum is right although its entries are not: made by a bug, not by a torn write.
fn signed(entries: Vec<u8>) -> Vec<u8> {
    Batch { entries, events: 1 }.frame()
}

#[test]
fn entries_that_lie_about_their_length_are_refused() {
    let entry = |length: u32| [&[0; 10][..], &length.to_le_bytes(), &[version::RECORD]].concat();
    assert_eq!(walk(&signed(entry(2))), Err(Error::Short));
    assert_eq!(walk(&signed(entry(u32::MAX))), Err(Error::TooLong(u32::MAX as usize)));
    let limit = limits::MAX_RECORD_BYTES;
    assert_eq!(walk(&signed(entry(limit as u32 + 1))), Err(Error::TooLong(limit + 1)));
    assert_eq!(walk(&signed(entry(limit as u32))), Err(Error::Short));
    assert_eq!(walk(&signed(vec![0; ENTRY - 1])), Err(Error::Short));
}

/// Earlier versions bounded facts by what a record may have, not by what one is written with now.
#[test]
fn a_record_of_an_earlier_version_may_be_larger_than_any_that_is_written_now() {
    let document = "1".repeat(3 * limits::MAX_FACT_BYTES);
    let answer = StoredResponse::PaymentRefused { request_id: RequestId::new("r").unwrap(), state: document };
    let event = Event::Key(KeyFact::Answered { key: KeyHash([1; 16]), fingerprint: Fingerprint(1), answer: answer.into() });
    let (frame, records) = frame_of(&[event]);
    assert!(frame.len() > 3 * limits::MAX_FACT_BYTES);
    assert_eq!(walk(&frame), Ok(records));
}

#[test]
fn a_bad_entry_ends_the_walk() {
    let mut entries = Batch::default();
    entries.push(PartitionId(0), &record(&examples::all()[0]));
    entries.entries.extend([0; 5]);
    let frame = signed(entries.entries);
    let mut walk = read_frame(&frame).unwrap();
    assert!(walk.next().unwrap().is_ok());
    assert_eq!(walk.next(), Some(Err(Error::Short)));
    assert_eq!(walk.next(), None);
}

#[test]
fn a_value_of_an_unknown_version_or_with_bytes_left_over_is_refused() {
    let mut bytes = encode_record(&record(&examples::all()[0]));
    bytes.push(0);
    assert_eq!(decode_record(&bytes), Err(Error::LeftOver(1)));
    bytes.pop();
    bytes[0] = 0;
    assert_eq!(decode_record(&bytes), Err(version::unknown(0)));
    for found in [version::RECORD + 1, u8::MAX] {
        bytes[0] = found;
        assert_eq!(decode_record(&bytes), Err(version::Newer::Version { of: version::Kind::Record, found }.into()));
        assert_eq!(decode_history(&bytes), Err(version::Newer::Version { of: version::Kind::History, found }.into()));
        assert_eq!(decode_key(&bytes), Err(version::Newer::Version { of: version::Kind::Row, found }.into()));
    }
    assert_eq!(decode_record(&[]), Err(Error::Short));
}

#[test]
fn names_and_currencies_are_checked_when_they_are_read() {
    use crate::ids::{Label, Location, Sku};
    use crate::quantity::Currency;
    let refused = |error: Error| matches!(error, Error::Malformed(_));
    assert!(refused(decode::<Sku>(&encode(&"has space")).unwrap_err()));
    assert!(refused(decode::<Sku>(&encode(&"")).unwrap_err()));
    assert!(refused(decode::<Location>(&encode(&"x".repeat(65))).unwrap_err()));
    assert!(refused(decode::<Label>(&encode(&"tab\there")).unwrap_err()));
    assert!(refused(decode::<Currency>(&encode(b"XQQ")).unwrap_err()));
    assert_eq!(decode::<Currency>(&encode(b"EUR")), Ok(Currency::new("EUR").unwrap()));
}

#[test]
fn a_refusal_for_a_state_that_nobody_knows_is_not_read() {
    use crate::event::{Kind, Refused, StoredResponse};
    // Position and members of `StoredResponse::Refused`.
    let stored = |state: &str| encode(&(6u8, "request", Refused::State { kind: Kind::Order, state: state.to_owned() }));
    assert!(decode::<StoredResponse>(&stored("confirmed")).is_ok());
    assert!(matches!(decode::<StoredResponse>(&stored("committed")), Err(Error::Malformed(_))), "the name of a reservation");
}

/// A list said to have 2^60 items must not be believed: postcard reserves a bounded amount and then finds the end.
#[test]
fn a_length_larger_than_the_bytes_is_refused_before_room_is_made() {
    let huge = [&[version::ROW][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert_eq!(decode_history(&huge), Err(Error::Short));
    assert_eq!(decode::<Vec<StoredResponse>>(&huge), Err(Error::Short));
    assert_eq!(decode::<String>(&huge), Err(Error::Short));
}

#[test]
fn rows_of_the_projection_give_back_what_was_put_in() {
    let history = examples::history();
    assert_eq!(decode_history(&encode_history(&history)), Ok(history));
    let KeyFact::Answered { fingerprint, answer, .. } = examples::key();
    assert_eq!(decode_key(&encode_key(fingerprint, &answer)), Ok((fingerprint, answer)));
}

fn any_example() -> impl Strategy<Value = Event> {
    proptest::sample::select([examples::all(), examples::with_origin().map(|(_, event)| event).to_vec()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn bytes_cut_short_are_refused(event in any_example(), cut in any::<proptest::sample::Index>()) {
        let bytes = encode_record(&record(&event));
        let refused = decode_record(&bytes[..cut.index(bytes.len())]);
        prop_assert!(matches!(refused, Err(Error::Short | Error::Malformed(_))), "{:?}", refused);
    }

    /// A flipped bit may make another value; what it makes is whole, and writes and reads as itself.
    #[test]
    fn a_flipped_bit_never_panics(event in any_example(), at in any::<proptest::sample::Index>(), bit in 0u32..8) {
        let mut bytes = encode_record(&record(&event));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = decode_record(&bytes) {
            prop_assert_eq!(decode_record(&encode_record(&other)), Ok(other));
        }
    }

    #[test]
    fn a_flipped_bit_of_a_frame_is_always_noticed(
        events in proptest::collection::vec(any_example(), 1..6), at in any::<proptest::sample::Index>(), bit in 0u32..8,
    ) {
        let (mut frame, _) = frame_of(&events);
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;
        prop_assert!(walk(&frame).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (decode_record(&bytes), walk(&bytes), decode_history(&bytes), decode_key(&bytes));
        for version in [version::ROW, version::HISTORY] {
            let versioned = [&[version][..], &bytes].concat();
            let _ = (decode_record(&versioned), decode_history(&versioned), decode_key(&versioned));
        }
        let entries = signed(bytes);
        let read = walk(&entries);
        prop_assert!(read.is_err() || entries.len() == HEADER || !read.unwrap().is_empty());
    }

    #[test]
    fn a_random_snapshot_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        use crate::{Causality, Partition, ids::Partitions, time::Policy};
        let one = Partitions::new(1).unwrap();
        let versioned = [&[version::ROW][..], &bytes].concat();
        let _ = Partition::restore(PartitionId(0), one, Causality::OneLog, Policy::default(), &versioned);
    }
}
