//! The end of a run: nothing is open, the journal folds to what is live, and all money and units are where they belong.

use super::ledger::{Checked, Purse, ReserveDecision, require};
use super::provider::Truth;
use super::shard::decode_frame;
use super::world::{World, id_of};
use holdfast_engine::audit::Audit;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;

const ENDS: &str = "I10 everything comes to its end";

impl World {
    /// The agenda is empty: the full set of checks.
    pub(super) fn finish(&mut self) -> Checked {
        let here = self.all_here().len();
        require(self.up && here == self.count(), ENDS, || format!("the process is down, or {here} partitions are up"))?;
        self.moves_have_ended()?;
        self.nothing_is_open()?;
        self.everyone_is_answered()?;
        self.money_is_settled()?;
        self.check_invariants()?;
        self.journal_is_the_state()
    }

    fn nothing_is_open(&self) -> Checked {
        let open: usize = self.all_here().iter().map(|partition| partition.orders().count()).sum();
        require(open == 0, ENDS, || self.open_work())?;
        for (sku, book) in &self.ledger.skus {
            book.level_is_known(sku)?;
            let live: Vec<_> = book.holds.iter().filter(|(_, hold)| hold.stage.live()).collect();
            require(live.is_empty() && book.held() == 0, "I7 no hold outlives its order", || {
                format!("{sku} still has {live:?}")
            })?;
        }
        for (id, book) in &self.ledger.orders {
            let ended = matches!(book.verdict, ReserveDecision::Sold | ReserveDecision::Over);
            require(ended, ENDS, || format!("order {id} is {:?}", book.verdict))?;
        }
        let unsynced = self.durable != self.submitted;
        require(!unsynced, ENDS, || format!("durable {:?} of submitted {:?}", self.durable, self.submitted))
    }

    fn everyone_is_answered(&self) -> Checked {
        let life_of = |command: &holdfast_engine::command::Command| {
            let partition = usize::from(command.partition(self.plan.partitions).0);
            self.shards[self.shard_of[partition]].hosting.get(id_of(partition)).map(|hosted| hosted.life)
        };
        if let Some((ticket, one)) = self.clients.forgotten(self.life) {
            require(false, "a request that reaches the process is taken or refused", || {
                format!("{ticket}: {:?}", one.asked.command)
            })?;
        }
        match self.clients.unanswered(self.life, life_of) {
            Some((ticket, one)) => {
                require(false, ENDS, || format!("request {ticket} was never answered: {:?}", one.asked.command))
            }
            None => Ok(()),
        }
    }

    /// Money was taken for goods, once; all other money is back.
    fn money_is_settled(&self) -> Checked {
        for (attempt, remote) in &self.provider.attempts {
            let book = self.ledger.orders.get(&attempt.order);
            let purse = book.and_then(|book| book.purses.get(&attempt.number)).copied();
            let sold = book.is_some_and(|book| book.sold());
            let right = match remote.truth {
                Truth::Captured => sold && purse == Some(Purse::Taken),
                Truth::Refunded => purse == Some(Purse::Refunded),
                // A buyer could still pay for what is not to be had.
                Truth::Pending if book.is_some_and(|book| book.closes_attempts()) => false,
                Truth::Unknown | Truth::Pending | Truth::Declined | Truth::Voided => purse != Some(Purse::Taken),
            };
            require(right, "I9 money without goods is given back", || {
                format!("{attempt} is {:?} at the provider, {purse:?} in the journal, sold: {sold}", remote.truth)
            })?;
        }
        Ok(())
    }

    /// I15, and the audit's opinion of the whole journal.
    fn journal_is_the_state(&self) -> Checked {
        let mut audit = Audit::default();
        let mut folded: Vec<Partition> = Vec::new();
        for (index, log) in self.logs.iter().enumerate() {
            let frames = log.disk.frames(log.durable);
            for frame in &frames {
                let records = decode_frame(frame)?;
                records.iter().for_each(|(partition, record)| audit.add(PartitionId(*partition as u16), record));
            }
            let ids: Vec<PartitionId> =
                self.plan.partitions.all().filter(|id| self.plan.log_of(usize::from(id.0)) == index).collect();
            folded.extend(self.fold(frames, &ids)?);
        }
        for (folded, live) in folded.iter().zip(self.all_here()) {
            require(folded.hash() == live.hash(), "I15 the fold is the live state", || {
                format!("partition {} at {} folds to another state at {}", live.id.0, live.seq(), folded.seq())
            })?;
        }
        let (_, violations) = audit.finish(&self.all_here());
        require(violations.is_empty(), "audit of the journal", || violations.join("; "))
    }
}
