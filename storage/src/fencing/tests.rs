//! Each judgement of the fence as a table: what came back, and what is next.

use super::*;

const ME: Owner = Owner(1);
const OTHER: Owner = Owner(2);
const LIMITS: SegmentLimits = SegmentLimits { batches: 3, bytes: 100 };
/// The bid of every claim here.
const MINE: Epoch = 5;

fn lease(epoch: Epoch, owner: Owner, segment_hint: Segment) -> Lease {
    Lease { epoch, owner: Some(owner), segment_hint }
}

fn open(epoch: Epoch, next: LogSeq) -> Head {
    Head { epoch, next, closed: false }
}

fn closed(epoch: Epoch, next: LogSeq) -> Head {
    Head { epoch, next, closed: true }
}

fn found(head: Head) -> Outcome {
    Outcome::Head(Some(head))
}

fn refused(head: Head) -> Outcome {
    Outcome::RefusedHead(Some(head))
}

/// The reason is for humans; the tables leave it out.
fn corrupt() -> Next {
    Next::Corrupt(String::new())
}

fn reported(fence: &mut Fence, outcome: Outcome) -> Next {
    match fence.on(outcome) {
        Next::Corrupt(_) => corrupt(),
        next => next,
    }
}

fn after(outcomes: &[Outcome]) -> Fence {
    let (mut fence, _) = Fence::claim(ME, MINE, LIMITS);
    for outcome in outcomes {
        fence.on(*outcome);
    }
    fence
}

/// The lease was won at [`MINE`], with this hint.
fn won(segment_hint: Segment) -> Vec<Outcome> {
    vec![Outcome::Lease(Some(lease(MINE - 1, OTHER, segment_hint))), Outcome::Applied]
}

/// Idle on segment 0 with `next`.
fn taken(next: LogSeq) -> Fence {
    let fence = after(&[won(0), vec![found(open(MINE - 1, next)), Outcome::Applied, found(open(MINE, next))]].concat());
    assert!(fence.is_idle());
    fence
}

fn table(fence: &Fence, rows: &[(Outcome, Next)]) {
    for (given, then) in rows {
        assert_eq!(reported(&mut fence.clone(), *given), *then, "{given:?} for {:?}", fence.in_hand());
    }
}

#[test]
fn a_bid_is_above_every_epoch_there_is() {
    let leases = |epochs: &[Epoch]| epochs.iter().map(|epoch| Some(lease(*epoch, OTHER, 0))).collect::<Vec<_>>();
    assert_eq!(bid_above([]), Some(1));
    assert_eq!(bid_above([None, None]), Some(1));
    assert_eq!(bid_above([leases(&[2, 9, 4]), vec![None]].concat()), Some(10));
    assert_eq!(bid_above(leases(&[i64::MAX as u64 - 3])), Some(i64::MAX as u64 - 2));
    assert_eq!(bid_above(leases(&[i64::MAX as u64 - 2])), None);
    assert_eq!(bid_above(leases(&[u64::MAX])), None);
}

#[test]
fn a_claim_outbids_the_lease_it_read() {
    let bid = Statement::Bid { seen: 4, epoch: 5, owner: ME };
    table(
        &after(&[]),
        &[
            (Outcome::Lease(None), Next::Execute(Statement::CreateLease { epoch: MINE, owner: ME })),
            (Outcome::Lease(Some(lease(4, OTHER, 7))), Next::Execute(bid)),
            (Outcome::Lease(Some(Lease { epoch: 4, owner: None, segment_hint: 7 })), Next::Execute(bid)),
            (Outcome::Lease(Some(lease(5, OTHER, 7))), Next::Fenced { by: 5 }),
            (Outcome::Lease(Some(lease(6, ME, 7))), Next::Fenced { by: 6 }),
            (Outcome::Lease(Some(lease(0, OTHER, 0))), corrupt()),
            (Outcome::Lease(Some(lease(u64::MAX, OTHER, 0))), corrupt()),
            (Outcome::Unknown, Next::Retry(Statement::ReadLease)),
            (Outcome::Applied, corrupt()),
        ],
    );
}

#[test]
fn a_claimant_outbids_again_and_stops_where_it_is_outbid() {
    let bid = Statement::Bid { seen: 3, epoch: 5, owner: ME };
    table(
        &after(&[Outcome::Lease(Some(lease(3, OTHER, 7)))]),
        &[
            (Outcome::Applied, Next::Execute(Statement::ReadHead { segment: 6 })),
            (Outcome::RefusedLease(Some(lease(5, ME, 9))), Next::Execute(Statement::ReadHead { segment: 8 })),
            (Outcome::RefusedLease(Some(lease(5, OTHER, 7))), Next::Fenced { by: 5 }),
            (Outcome::RefusedLease(Some(lease(6, ME, 7))), Next::Fenced { by: 6 }),
            (Outcome::RefusedLease(Some(lease(4, OTHER, 7))), Next::Execute(Statement::Bid { seen: 4, epoch: 5, owner: ME })),
            (Outcome::RefusedLease(Some(lease(3, OTHER, 7))), corrupt()),
            (Outcome::RefusedLease(Some(lease(5, ME, u32::MAX))), corrupt()),
            (Outcome::RefusedLease(None), corrupt()),
            (Outcome::Unknown, Next::Retry(bid)),
        ],
    );
}

#[test]
fn the_first_owner_creates_the_lease() {
    table(
        &after(&[Outcome::Lease(None)]),
        &[
            (Outcome::Applied, Next::Execute(Statement::ReadHead { segment: 0 })),
            (Outcome::RefusedLease(Some(lease(5, ME, 0))), Next::Execute(Statement::ReadHead { segment: 0 })),
            (Outcome::RefusedLease(Some(lease(5, OTHER, 0))), Next::Fenced { by: 5 }),
            (Outcome::RefusedLease(Some(lease(6, ME, 0))), Next::Fenced { by: 6 }),
            (Outcome::RefusedLease(Some(lease(1, OTHER, 0))), Next::Execute(Statement::Bid { seen: 1, epoch: 5, owner: ME })),
            (Outcome::RefusedLease(Some(lease(0, ME, 0))), corrupt()),
            (Outcome::Unknown, Next::Retry(Statement::CreateLease { epoch: MINE, owner: ME })),
        ],
    );
}

#[test]
fn an_empty_chain_is_opened_at_one() {
    table(
        &after(&won(0)),
        &[
            (Outcome::Head(None), Next::Execute(Statement::Open { segment: 0, epoch: MINE, next: 1 })),
            (found(open(3, 9)), Next::Execute(Statement::Seize { segment: 0, seen: 3, epoch: MINE })),
            (found(closed(3, 9)), Next::Execute(Statement::ReadHead { segment: 1 })),
            (found(open(6, 9)), Next::Fenced { by: 6 }),
            (found(open(3, 0)), corrupt()),
            (found(open(0, 9)), corrupt()),
            (found(open(3, u64::MAX)), corrupt()),
            (Outcome::Unknown, Next::Retry(Statement::ReadHead { segment: 0 })),
        ],
    );
}

#[test]
fn the_hinted_segment_exists_and_those_before_it_are_closed() {
    table(
        &after(&won(2)),
        &[
            (found(closed(3, 9)), Next::Execute(Statement::ReadHead { segment: 2 })),
            (found(open(3, 9)), corrupt()),
            (Outcome::Head(None), corrupt()),
        ],
    );
    table(
        &after(&[won(2), vec![found(closed(3, 9))]].concat()),
        &[
            (found(open(3, 9)), Next::Execute(Statement::Seize { segment: 2, seen: 3, epoch: MINE })),
            (found(closed(3, 12)), Next::Execute(Statement::ReadHead { segment: 3 })),
            (found(open(3, 8)), corrupt()),
            (Outcome::Head(None), corrupt()),
        ],
    );
    table(
        &after(&[won(2), vec![found(closed(3, 9)), found(closed(3, 12))]].concat()),
        &[(Outcome::Head(None), Next::Execute(Statement::Open { segment: 3, epoch: MINE, next: 12 }))],
    );
}

#[test]
fn a_seizure_is_repeated_until_the_head_is_ours() {
    let seize = |seen| Statement::Seize { segment: 0, seen, epoch: MINE };
    table(
        &after(&[won(0), vec![found(open(2, 9))]].concat()),
        &[
            (Outcome::Applied, Next::Execute(Statement::ReadHead { segment: 0 })),
            (refused(open(MINE, 10)), Next::Idle),
            (refused(closed(MINE, 10)), Next::Execute(Statement::ReadHead { segment: 1 })),
            (refused(open(3, 10)), Next::Execute(seize(3))),
            (refused(closed(3, 10)), Next::Execute(Statement::ReadHead { segment: 1 })),
            (refused(open(6, 10)), Next::Fenced { by: 6 }),
            (refused(open(2, 9)), corrupt()),
            (refused(open(1, 9)), corrupt()),
            (refused(open(MINE, 8)), corrupt()),
            (Outcome::RefusedHead(None), corrupt()),
            (Outcome::Unknown, Next::Retry(seize(2))),
        ],
    );
}

#[test]
fn a_seized_head_is_read_again() {
    table(
        &after(&[won(0), vec![found(open(2, 9)), Outcome::Applied]].concat()),
        &[
            (found(open(MINE, 11)), Next::Idle),
            (found(closed(MINE, 11)), Next::Execute(Statement::ReadHead { segment: 1 })),
            (found(open(6, 11)), Next::Fenced { by: 6 }),
            (found(open(2, 11)), corrupt()),
            (found(open(MINE, 8)), corrupt()),
            (Outcome::Head(None), corrupt()),
            (Outcome::Unknown, Next::Retry(Statement::ReadHead { segment: 0 })),
        ],
    );
}

#[test]
fn a_segment_an_older_owner_opened_first_is_seized() {
    let opening = Statement::Open { segment: 1, epoch: MINE, next: 9 };
    let hint = Next::Execute(Statement::Hint { segment: 1, epoch: MINE });
    table(
        &after(&[won(0), vec![found(closed(2, 9)), Outcome::Head(None)]].concat()),
        &[
            (Outcome::Applied, hint.clone()),
            (refused(open(MINE, 9)), hint),
            (refused(open(2, 10)), Next::Execute(Statement::Seize { segment: 1, seen: 2, epoch: MINE })),
            (refused(closed(2, 12)), Next::Execute(Statement::ReadHead { segment: 2 })),
            (refused(open(6, 9)), Next::Fenced { by: 6 }),
            (refused(open(MINE, 10)), corrupt()),
            (refused(open(2, 8)), corrupt()),
            (Outcome::RefusedHead(None), corrupt()),
            (Outcome::Unknown, Next::Retry(opening)),
        ],
    );
}

#[test]
fn a_takeover_moves_the_hint_but_does_not_depend_on_it() {
    table(
        &after(&[won(0), vec![found(closed(2, 9)), Outcome::Head(None), Outcome::Applied]].concat()),
        &[
            (Outcome::Applied, Next::Idle),
            (Outcome::Unknown, Next::Idle),
            (Outcome::RefusedLease(Some(lease(6, OTHER, 0))), Next::Fenced { by: 6 }),
            (Outcome::RefusedLease(Some(lease(MINE, ME, 0))), corrupt()),
            (Outcome::RefusedLease(None), corrupt()),
        ],
    );
}

#[test]
fn a_refused_append_is_ours_only_under_our_epoch_and_one_further() {
    let mut fence = taken(3);
    let append = Statement::Append { segment: 0, epoch: MINE, seq: 3 };
    assert_eq!(fence.append(1), Some(append));
    table(
        &fence,
        &[
            (Outcome::Applied, Next::Durable(3)),
            (refused(open(MINE, 4)), Next::Durable(3)),
            (refused(open(6, 4)), Next::Fenced { by: 6 }),
            (refused(closed(6, 3)), Next::Fenced { by: 6 }),
            (refused(open(MINE, 3)), corrupt()),
            (refused(open(MINE, 5)), corrupt()),
            (refused(closed(MINE, 4)), corrupt()),
            (refused(open(4, 4)), corrupt()),
            (Outcome::RefusedHead(None), corrupt()),
            (Outcome::Unknown, Next::Retry(append)),
        ],
    );
}

#[test]
fn a_full_segment_is_closed_before_the_next_is_opened() {
    let mut fence = taken(4);
    let close = Statement::Close { segment: 0, epoch: MINE, next: 4 };
    let opening = Next::Execute(Statement::Open { segment: 1, epoch: MINE, next: 4 });
    assert_eq!(fence.append(1), Some(close));
    table(
        &fence,
        &[
            (Outcome::Applied, opening.clone()),
            (refused(closed(MINE, 4)), opening),
            (refused(open(6, 4)), Next::Fenced { by: 6 }),
            (refused(open(MINE, 4)), corrupt()),
            (refused(closed(MINE, 5)), corrupt()),
            (refused(closed(4, 4)), corrupt()),
            (Outcome::Unknown, Next::Retry(close)),
        ],
    );
}

#[test]
fn an_owner_opens_the_next_segment_itself_or_is_fenced() {
    let mut fence = taken(4);
    fence.append(1);
    fence.on(Outcome::Applied);
    let hint = Next::Execute(Statement::Hint { segment: 1, epoch: MINE });
    table(
        &fence,
        &[
            (Outcome::Applied, hint.clone()),
            (refused(open(MINE, 4)), hint),
            (refused(open(6, 4)), Next::Fenced { by: 6 }),
            (refused(open(4, 4)), corrupt()),
            (refused(closed(MINE, 4)), corrupt()),
            (Outcome::Unknown, Next::Retry(Statement::Open { segment: 1, epoch: MINE, next: 4 })),
        ],
    );
    fence.on(Outcome::Applied);
    let append = Statement::Append { segment: 1, epoch: MINE, seq: 4 };
    table(
        &fence,
        &[
            (Outcome::Applied, Next::Execute(append)),
            (Outcome::Unknown, Next::Execute(append)),
            (Outcome::RefusedLease(Some(lease(6, OTHER, 0))), Next::Fenced { by: 6 }),
        ],
    );
}

#[test]
fn a_segment_is_full_by_count_or_by_bytes_but_never_when_empty() {
    // Batches that lay in the segment, bytes appended since, bytes to append, whether a new segment is opened.
    let rows = [(0, 0, 1, false), (0, 0, 1000, false), (2, 0, 1, false), (3, 0, 1, true), (0, 60, 40, false), (0, 60, 41, true)];
    for (lay, before, bytes, rolls) in rows {
        let mut fence = taken(lay + 1);
        if before > 0 {
            fence.append(before);
            fence.on(Outcome::Applied);
        }
        let rolled = matches!(fence.append(bytes), Some(Statement::Close { .. }));
        assert_eq!(rolled, rolls, "{lay} batches, {before} bytes, then {bytes}");
    }
}

#[test]
fn a_new_segment_is_counted_from_its_own_first_batch() {
    let mut fence = taken(4);
    fence.append(90);
    for _ in 0..4 {
        fence.on(Outcome::Applied);
    }
    assert_eq!((fence.segment(), fence.first(), fence.next()), (1, 4, 5));
    assert_eq!(fence.append(10), Some(Statement::Append { segment: 1, epoch: MINE, seq: 5 }));
}

#[test]
fn one_append_is_in_hand_at_a_time() {
    let (mut claiming, _) = Fence::claim(ME, MINE, LIMITS);
    assert_eq!(claiming.append(1), None);
    let mut fence = taken(1);
    assert!(fence.append(1).is_some());
    assert_eq!(fence.append(1), None);
    assert_eq!(fence.on(Outcome::Applied), Next::Durable(1));
    assert!(fence.append(1).is_some());
}

#[test]
fn a_fenced_owner_never_appends() {
    let mut fence = taken(1);
    fence.append(1);
    fence.on(refused(open(9, 1)));
    assert!(fence.is_fenced());
    assert_eq!(fence.append(1), None);
    assert_eq!(fence.on(Outcome::Applied), Next::Fenced { by: 9 });
}

#[test]
fn a_damaged_log_stays_refused() {
    let mut fence = taken(1);
    fence.append(1);
    let reason = fence.on(Outcome::RefusedHead(None));
    assert!(matches!(&reason, Next::Corrupt(text) if text.contains("Append")), "{reason:?}");
    assert_eq!(fence.append(1), None);
    assert_eq!(fence.on(Outcome::Applied), reason);
}

#[test]
fn an_outcome_nobody_waits_for_changes_nothing() {
    let mut fence = taken(3);
    assert_eq!(fence.on(refused(open(9, 9))), Next::Idle);
    assert_eq!(fence, taken(3));
}

#[test]
fn only_whole_closed_segments_below_the_floor_are_purged() {
    let extent = |segment, closed, first, end| Extent { segment, closed, first, end };
    let chain = [extent(0, true, 1, 5), extent(1, true, 5, 5), extent(2, true, 5, 9), extent(3, false, 9, 11)];
    for (floor, segments) in [(0, vec![]), (4, vec![]), (5, vec![0]), (8, vec![0]), (9, vec![0, 2]), (99, vec![0, 2])] {
        let purged: Vec<Segment> = purgeable(&chain, floor).map(|extent| extent.segment).collect();
        assert_eq!(purged, segments, "floor {floor}");
    }
}

#[test]
fn a_released_partition_takes_no_more_appends() {
    let mut releasing = taken(9);
    assert_eq!(releasing.release(), Some(Statement::Release { epoch: MINE }));
    table(
        &releasing,
        &[
            (Outcome::Applied, Next::Released),
            (Outcome::Unknown, Next::Released),
            (Outcome::RefusedLease(Some(lease(6, OTHER, 0))), Next::Fenced { by: 6 }),
            (Outcome::RefusedLease(Some(lease(4, OTHER, 0))), corrupt()),
        ],
    );
    releasing.on(Outcome::Applied);
    assert_eq!((releasing.append(1), releasing.release(), releasing.in_hand()), (None, None, None));
}
