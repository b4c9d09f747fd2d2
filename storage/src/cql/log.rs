//! The log of one partition: carries out what its fence says, and reads it back.
//!
//! Invariants: one statement in flight; a batch keeps its bytes until it is durable; a reader sees no further than what
//! is known to be durable.

use super::answer::Answer;
use super::cluster::Cluster;
use super::errors::failed;
use super::options::Options;
use super::statements::{Leases, Segments};
use super::values::{big, small, uuid};
use crate::backoff::Backoff;
use crate::contract::{CommitCheck, Error, LogSeq};
use crate::fencing::{Epoch, Extent, Fence, Head, Lease, Next, Outcome, Owner, Segment, SegmentLimits, Statement, purgeable};
use holdfast_engine::codec;
use holdfast_engine::time::Timestamp;
use scylla::errors::ExecutionError;
use scylla::response::query_result::QueryResult;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes after which a log goes on in the next segment.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Rows read at once: at most so many batches of 256 KiB.
const PAGE: u64 = 64;
/// Between two tries of a statement whose outcome is unknown.
const PAUSES: Backoff = Backoff::doubling(Duration::from_millis(25), Duration::from_millis(1250));
/// Spreads the tries of many partitions, in hundredths of a pause.
const JITTER: u32 = 40;
/// Tries after which an operator is told, and told again.
const TELL_EVERY: u32 = 10;

/// A batch in the form of its row.
pub(super) struct Body {
    pub(super) events: i32,
    pub(super) frame: Vec<u8>,
}

/// See the module.
pub(super) struct PartitionLog {
    cluster: Arc<Cluster>,
    partition: i32,
    address: Arc<str>,
    limits: SegmentLimits,
    /// None: only looked at.
    fence: tokio::sync::Mutex<Option<Fence>>,
    epoch: AtomicU64,
    end: AtomicU64,
    /// The last batch that was written here.
    last: Mutex<Option<CommitCheck>>,
    /// The rows of the segments before this one were purged.
    kept: AtomicU32,
    /// First batch of each segment known. The last is the open one.
    firsts: Mutex<BTreeMap<Segment, LogSeq>>,
    /// Set when nobody waits any more for what is not known.
    stopping: Arc<AtomicBool>,
}

impl PartitionLog {
    pub(super) fn new(cluster: Arc<Cluster>, partition: u16, options: &Options, stopping: Arc<AtomicBool>) -> Self {
        Self {
            cluster,
            partition: i32::from(partition),
            address: options.address.as_str().into(),
            limits: SegmentLimits { batches: options.segment_batches.max(1), bytes: SEGMENT_BYTES },
            fence: tokio::sync::Mutex::default(),
            epoch: AtomicU64::new(0),
            end: AtomicU64::new(0),
            last: Mutex::new(None),
            kept: AtomicU32::new(0),
            firsts: Mutex::new(BTreeMap::from([(0, 1)])),
            stopping,
        }
    }

    /// Takes the partition over from whoever has it under a lower epoch.
    pub(super) async fn claim(&self, owner: Owner, bid: Epoch) -> Result<(), Error> {
        let (mut fence, first) = Fence::claim(owner, bid, self.limits);
        self.drive(&mut fence, first, None).await?;
        self.epoch.store(fence.epoch(), Ordering::Release);
        self.learn(&fence);
        let lease = self.lease_row().await?;
        self.learn_kept(&lease);
        *self.fence.lock().await = Some(fence);
        Ok(())
    }

    /// Finds the end without claiming anything: a running owner is not disturbed.
    pub(super) async fn observe(&self) -> Result<(), Error> {
        let row = self.lease_row().await?;
        self.learn_kept(&row);
        let lease = row.lease();
        // One before the hint: its head says where the hinted segment begins.
        let mut segment = lease.map_or(0, |lease| lease.segment_hint.saturating_sub(1));
        let mut end = 0;
        while let Some(head) = self.head(segment).await? {
            end = head.next - 1;
            self.known().insert(segment + 1, head.next);
            segment += 1;
        }
        self.known().split_off(&segment);
        self.end.store(end, Ordering::Release);
        Ok(())
    }

    /// Undoes [`Self::observe`].
    pub(super) fn forget_ends(&self) {
        *self.known() = BTreeMap::from([(0, 1)]);
        self.end.store(0, Ordering::Release);
    }

    /// Writes one batch. The caller is alone.
    pub(super) async fn append(&self, body: Body) -> Result<LogSeq, Error> {
        let mut fence = self.fence.lock().await;
        let fence = fence.as_mut().ok_or(Error::Stopped)?;
        let first = fence.append(body.frame.len()).ok_or(Error::Stopped)?;
        let written = self.drive(fence, first, Some(&body)).await?;
        let check = codec::frame_check(&body.frame)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(CommitCheck { commit: written, check });
        self.learn(fence);
        Ok(written)
    }

    /// The last batch with its check value, if it was written here.
    pub(super) fn last(&self) -> Option<CommitCheck> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the partition back, if it is ours and nothing is in hand.
    pub(super) async fn release(&self) -> Result<(), Error> {
        let mut fence = self.fence.lock().await;
        let Some(fence) = fence.as_mut() else { return Ok(()) };
        match fence.release() {
            Some(statement) => self.drive(fence, statement, None).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) async fn lease(&self) -> Result<Option<Lease>, Error> {
        Ok(self.lease_row().await?.lease())
    }

    pub(super) fn end(&self) -> LogSeq {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.load(Ordering::Acquire)
    }

    fn learn_kept(&self, lease: &Answer) {
        let kept = lease.int("kept_seg").map_or(0, i32::unsigned_abs);
        self.kept.store(kept, Ordering::Release);
    }

    fn learn(&self, fence: &Fence) {
        self.known().insert(fence.segment(), fence.first());
        self.end.store(fence.next() - 1, Ordering::Release);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Segment, LogSeq>> {
        // Every change is one call into the map: a panic elsewhere cannot leave it half changed.
        self.firsts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes one statement after the other until the fence is idle again. Says which batch became durable, if one did.
    async fn drive(&self, fence: &mut Fence, first: Statement, body: Option<&Body>) -> Result<LogSeq, Error> {
        let pauses = PAUSES.with_jitter(JITTER, self.partition.unsigned_abs().into());
        let (mut statement, mut pause, mut tries) = (first, pauses.clone(), 0);
        loop {
            if self.stopping.load(Ordering::Acquire) {
                return Err(Error::Stopped);
            }
            let outcome = self.execute(statement, body, tries).await;
            match fence.on(outcome) {
                Next::Execute(next) => (statement, pause, tries) = (next, pauses.clone(), 0),
                Next::Retry(same) => {
                    statement = same;
                    tries += 1;
                    tokio::time::sleep(pause.next_pause()).await;
                }
                Next::Idle | Next::Released => return Ok(fence.next() - 1),
                Next::Durable(seq) => return Ok(seq),
                Next::Fenced { by } => return Err(Error::Fenced { by }),
                Next::Corrupt(reason) => return Err(Error::Damaged { record: fence.next(), reason }),
            }
        }
    }

    async fn execute(&self, statement: Statement, body: Option<&Body>, tries: u32) -> Outcome {
        match self.answer(statement, body).await {
            Ok(outcome) => outcome,
            Err(error) => {
                metrics::counter!("holdfast_journal_unknown_outcomes_total").increment(1);
                if tries % TELL_EVERY == TELL_EVERY - 1 {
                    tracing::warn!(partition = self.partition, tries = tries + 1, %error, ?statement, "the cluster does not answer: trying on");
                }
                Outcome::Unknown
            }
        }
    }

    async fn answer(&self, statement: Statement, body: Option<&Body>) -> Result<Outcome, Error> {
        let answer = self.send(statement, body).await.map_err(|error| failed(&error)).and_then(Answer::read)?;
        match statement {
            Statement::ReadLease => Ok(Outcome::Lease(answer.lease())),
            Statement::ReadHead { .. } => Ok(Outcome::Head(answer.head())),
            _ if answer.applied()? => Ok(Outcome::Applied),
            Statement::CreateLease { .. } | Statement::Bid { .. } | Statement::Hint { .. } | Statement::Release { .. } => {
                match answer.lease() {
                    Some(lease) => Ok(Outcome::RefusedLease(Some(lease))),
                    // Cassandra shows only the columns of the condition: what is missing is asked for.
                    None => Ok(Outcome::RefusedLease(self.lease_row().await?.lease())),
                }
            }
            Statement::Seize { segment, .. }
            | Statement::Open { segment, .. }
            | Statement::Append { segment, .. }
            | Statement::Close { segment, .. } => match answer.head() {
                Some(head) => Ok(Outcome::RefusedHead(Some(head))),
                None => Ok(Outcome::RefusedHead(self.head(segment).await?)),
            },
        }
    }

    async fn send(&self, statement: Statement, body: Option<&Body>) -> Result<QueryResult, ExecutionError> {
        let Cluster { fence: session, leases, segments, .. } = &*self.cluster;
        let Leases { read_lease, create_lease, bid, hint, release, .. } = leases;
        let Segments { read_head, seize, open, append, close, .. } = segments;
        let p = self.partition;
        match statement {
            Statement::ReadLease => session.execute_unpaged(read_lease, (p,)).await,
            Statement::ReadHead { segment } => session.execute_unpaged(read_head, (p, small(segment))).await,
            Statement::CreateLease { epoch, owner } => {
                session.execute_unpaged(create_lease, (p, big(epoch), uuid(owner), &*self.address)).await
            }
            Statement::Bid { seen, epoch, owner } => {
                session.execute_unpaged(bid, (big(epoch), uuid(owner), &*self.address, p, big(seen))).await
            }
            Statement::Hint { segment, epoch } => session.execute_unpaged(hint, (small(segment), p, big(epoch))).await,
            Statement::Release { epoch } => session.execute_unpaged(release, (p, big(epoch))).await,
            Statement::Seize { segment, seen, epoch } => {
                session.execute_unpaged(seize, (big(epoch), p, small(segment), big(seen))).await
            }
            Statement::Open { segment, epoch, next } => {
                session.execute_unpaged(open, (p, small(segment), big(epoch), big(next))).await
            }
            Statement::Append { segment, epoch, seq } => {
                let (events, frame) = body.map_or((0, &[][..]), |body| (body.events, &body.frame));
                let values = (big(seq + 1), events, frame, p, small(segment), big(seq), big(epoch), big(seq));
                session.execute_unpaged(append, values).await
            }
            Statement::Close { segment, epoch, next } => {
                session.execute_unpaged(close, (p, small(segment), big(epoch), big(next))).await
            }
        }
    }

    async fn lease_row(&self) -> Result<Answer, Error> {
        Answer::read(self.cluster.serial(&self.cluster.leases.read_lease, (self.partition,)).await?)
    }

    /// Reads serially, which also finishes what was half decided: rows below `next` are there for every reader after this.
    async fn head(&self, segment: Segment) -> Result<Option<Head>, Error> {
        let at = (self.partition, small(segment));
        Ok(Answer::read(self.cluster.serial(&self.cluster.segments.read_head, at).await?)?.head())
    }

    /// Up to a page of batches from `from` on, none beyond the end.
    pub(super) async fn page(&self, from: LogSeq) -> Result<Vec<(LogSeq, Vec<u8>)>, Error> {
        let end = self.end();
        if from > end {
            return Ok(Vec::new());
        }
        let (segment, last) = self.segment_of(from).await?;
        let kept = self.kept.load(Ordering::Acquire);
        if segment < kept {
            return Err(Error::Purged { first: self.first_of(kept).await? });
        }
        let to = (from + PAGE).min(last.unwrap_or(end) + 1).min(end + 1);
        let rows = self.rows(segment, from, to).await?;
        match gap(&rows, from, to) {
            None => Ok(rows),
            Some(_) => {
                // A replica that was away may not have it yet: a serial read settles it.
                self.head(segment).await?;
                let rows = self.rows(segment, from, to).await?;
                let damaged = |record| Error::Damaged { record, reason: format!("partition {}: it is missing", self.partition) };
                gap(&rows, from, to).map_or(Ok(rows), |record| Err(damaged(record)))
            }
        }
    }

    async fn rows(&self, segment: Segment, from: LogSeq, to: LogSeq) -> Result<Vec<(LogSeq, Vec<u8>)>, Error> {
        let values = (self.partition, small(segment), big(from), big(to));
        let result = self.cluster.plain(&self.cluster.segments.read_rows, values).await?;
        let rows = result.into_rows_result().map_err(|error| super::answer::unexpected(&error))?;
        let rows = rows.rows::<(i64, Option<Vec<u8>>)>().map_err(|error| super::answer::unexpected(&error))?;
        let row = |row: Result<(i64, Option<Vec<u8>>), _>| {
            let (seq, body) = row.map_err(|error| super::answer::unexpected(&error))?;
            Ok((seq.unsigned_abs(), body.unwrap_or_default()))
        };
        rows.map(row).collect()
    }

    /// The segment that holds a batch, with its last batch if it is closed.
    async fn segment_of(&self, seq: LogSeq) -> Result<(Segment, Option<LogSeq>), Error> {
        loop {
            let (below, above) = {
                let known = self.known();
                let below = known.iter().rev().find(|(_, first)| **first <= seq).map(|(segment, first)| (*segment, *first));
                let above = known.iter().find(|(_, first)| **first > seq).map(|(segment, first)| (*segment, *first));
                (below, above)
            };
            let (below, _) = below.unwrap_or((0, 1));
            let Some((above, first_above)) = above else { return Ok((below, None)) };
            if above == below + 1 {
                return Ok((below, Some(first_above - 1)));
            }
            // The head of a closed segment says where the following begins: halving finds the one in question.
            let middle = below + (above - below - 1) / 2;
            let head = self.head(middle).await?;
            let head = head.ok_or_else(|| Error::Damaged { record: seq, reason: format!("segment {middle} is missing") })?;
            self.known().insert(middle + 1, head.next);
        }
    }
}

impl PartitionLog {
    /// Deletes whole segments whose batches are all before `floor`, the least number that anything still reads, and that
    /// were closed before `since`. Says which batch is the first then.
    ///
    /// A plain delete is enough: no conditional write touches the rows of a closed segment any more, and its time is that
    /// of the closing, which was later than all of them. The head stays, so that what comes late is still refused.
    pub(super) async fn purge(&self, floor: LogSeq, since: Timestamp) -> Result<LogSeq, Error> {
        let latest = u128::from(since.millis()) * 1000;
        // One that was marked and perhaps not deleted when a process ended is deleted again.
        let mut segment = self.kept.load(Ordering::Acquire).saturating_sub(1);
        loop {
            let Some(head) = self.head(segment).await? else { break };
            let extent = Extent { segment, closed: head.closed, first: self.first_of(segment).await?, end: head.next };
            if purgeable(&[extent], floor).next().is_none() {
                break;
            }
            let Some(closed) = self.closed_at(segment).await?.filter(|closed| u128::from(closed.unsigned_abs()) <= latest) else {
                break;
            };
            self.keep_from(segment + 1).await?;
            let values = (closed, self.partition, small(segment), big(extent.first), big(extent.end));
            self.cluster.plain(&self.cluster.segments.purge, values).await?;
            segment += 1;
        }
        self.first().await
    }

    /// The first batch that is kept.
    pub(super) async fn first(&self) -> Result<LogSeq, Error> {
        self.first_of(self.kept.load(Ordering::Acquire)).await
    }

    async fn keep_from(&self, segment: Segment) -> Result<(), Error> {
        if segment <= self.kept.load(Ordering::Acquire) {
            return Ok(());
        }
        let values = (small(segment), self.partition, big(self.epoch()));
        let answer = Answer::read(self.cluster.serial(&self.cluster.leases.keep, values).await?)?;
        if !answer.applied()? {
            return Err(Error::Fenced { by: answer.bigint("epoch").unwrap_or(0) });
        }
        self.kept.store(segment, Ordering::Release);
        Ok(())
    }

    /// When a segment was closed, in microseconds since 1970.
    async fn closed_at(&self, segment: Segment) -> Result<Option<i64>, Error> {
        let read = self.cluster.plain(&self.cluster.segments.closed_at, (self.partition, small(segment))).await?;
        let closed = read.into_rows_result().map_err(|error| super::answer::unexpected(&error))?;
        let closed = closed.maybe_first_row::<(Option<i64>,)>().map_err(|error| super::answer::unexpected(&error))?;
        Ok(closed.and_then(|(closed,)| closed))
    }

    /// The first batch of a segment that exists.
    async fn first_of(&self, segment: Segment) -> Result<LogSeq, Error> {
        let known = self.known().get(&segment).copied();
        match (known, segment.checked_sub(1)) {
            (Some(first), _) => Ok(first),
            (None, None) => Ok(1),
            (None, Some(before)) => {
                let head = self.head(before).await?;
                let missing = || Error::Damaged { record: 0, reason: format!("segment {before} is missing") };
                Ok(head.ok_or_else(missing)?.next)
            }
        }
    }
}

/// The first batch from `from` to before `to` that is not there.
fn gap(rows: &[(LogSeq, Vec<u8>)], from: LogSeq, to: LogSeq) -> Option<LogSeq> {
    let wrong = rows.iter().zip(from..to).find(|((seq, _), expected)| seq != expected).map(|(_, expected)| expected);
    wrong.or_else(|| ((rows.len() as u64) < to - from).then_some(from + rows.len() as u64))
}
