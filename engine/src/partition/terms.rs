//! Commands under terms: of a version that was seen, and once for a key.
//!
//! Invariants: a key is looked at before a version, as what was done under it made another version; a command that finds another
//! version changes nothing and binds no key; a key is bound in the same batch as what it decided.

use super::Partition;
use super::saga::Wait;
use crate::answer::Answer;
use crate::command::{Command, CommandKey, Loaded, Terms};
use crate::effect::Effects;
use crate::event::{Kind, StoredResponse};
use crate::ids::{OrderId, Sku, Ticket};
use crate::order::Order;
use crate::rejection::Rejection;
use crate::time::Timestamp;
use std::sync::Arc;

impl Partition {
    pub(super) fn under(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        terms: Terms,
        command: Command,
        loaded: Loaded,
        fx: &mut Effects,
    ) {
        if let Some(key) = &terms.key
            && self.answered_key(ticket, key, &loaded, fx)
        {
            return;
        }
        if let Some(versions) = &terms.versions
            && let Some(current) = self.version_of(now, &command, &loaded, fx)
            && !versions.contains(&current)
        {
            self.reply(ticket, Err(Rejection::VersionMismatch { current }), false, fx);
            // It may have expired just now.
            return command.order().into_iter().for_each(|order| self.advance(now, order, fx));
        }
        self.command(now, ticket, command, terms.key, loaded, fx);
    }

    /// The version that a command is about to change. `None` where there is nothing to change: what it is about is not here, or the
    /// command was carried out under its own key.
    fn version_of(&mut self, now: Timestamp, command: &Command, loaded: &Loaded, fx: &mut Effects) -> Option<u64> {
        match command {
            Command::AdjustStock { sku, key, .. } => {
                let answered = self.keys.contains_key(&key.hash) || loaded.key.is_some();
                (!answered).then(|| self.version_of_sku(sku))
            }
            Command::SetThreshold { sku, .. } | Command::SetStock { sku, .. } => Some(self.version_of_sku(sku)),
            Command::StartPayment { order, key, .. } => {
                let answered = self.keys.contains_key(&key.hash) || loaded.key.is_some();
                let started = answered || self.replay_payment(*order, key, loaded).is_some();
                if started { None } else { self.version_of_order(now, *order, Kind::Order, loaded, fx) }
            }
            Command::Cancel { order, kind, .. } | Command::Confirm { order, kind, .. } => {
                self.version_of_order(now, *order, *kind, loaded, fx)
            }
            Command::Extend { order, .. } => self.version_of_order(now, *order, Kind::Reservation, loaded, fx),
            Command::Place { .. } | Command::GetOrder { .. } | Command::PaymentResult { .. } => None,
            Command::GetStock { .. } | Command::Availability { .. } | Command::Under { .. } => None,
            Command::CloseLocation { .. } | Command::ListOrders { .. } | Command::ListStock { .. } => None,
            Command::GetAnswer { .. } => None,
        }
    }

    fn version_of_sku(&self, sku: &Sku) -> u64 {
        self.skus.get(sku).map_or(0, |stock| stock.version)
    }

    fn version_of_order(&mut self, now: Timestamp, id: OrderId, kind: Kind, loaded: &Loaded, fx: &mut Effects) -> Option<u64> {
        self.expire_due(now, id, fx);
        let version = |order: &Order| (order.kind() == kind).then(|| u64::from(order.version()));
        match self.orders.get(&id) {
            Some(actor) => version(&actor.order),
            None => Order::fold(id, loaded.order.as_deref()?).as_ref().and_then(version),
        }
    }

    /// What a used key is answered with.
    pub(super) fn shown_again(&self, answer: Arc<StoredResponse>, loaded: &Loaded) -> Result<Answer, Rejection> {
        let StoredResponse::Moved { order: id, facts } = *answer else { return Ok(Answer::Stored(answer)) };
        let archived = loaded.order.as_deref().and_then(|history| Order::fold(id, history));
        let order = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref());
        order.ok_or(Rejection::NotFound)?.carried_out(facts as usize).ok_or(Rejection::KeyInProgress)
    }

    /// Replies to a command that moved an order on, or had not to.
    pub(super) fn reply_moved(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        id: OrderId,
        key: Option<CommandKey>,
        loaded: Loaded,
        fx: &mut Effects,
    ) {
        let known = self.orders.get(&id).map(|actor| actor.order.version());
        match (known, key) {
            (Some(_), None) => self.wait(id, ticket, Wait::Moved),
            (Some(facts), Some(key)) => {
                self.answer_key(now, key.hash, key.fingerprint, StoredResponse::Moved { order: id, facts }, fx);
                self.wait(id, ticket, Wait::CarriedOut(facts));
            }
            (None, None) => self.get_order(ticket, id, None, loaded, fx),
            (None, Some(key)) => {
                let facts = loaded.order.as_ref().map_or(0, Vec::len);
                let facts = u32::try_from(facts).expect("an order has fewer than 2^32 facts");
                self.answer_key(now, key.hash, key.fingerprint, StoredResponse::Moved { order: id, facts }, fx);
                self.get_order(ticket, id, None, loaded, fx);
            }
        }
    }

    /// Replies to a command that was refused.
    pub(super) fn reply_refused(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        rejection: Rejection,
        key: Option<CommandKey>,
        fx: &mut Effects,
    ) {
        let outcome = match key {
            Some(CommandKey { hash, fingerprint, request_id }) if binds_key(&rejection) => {
                let refused = StoredResponse::Refused { request_id, rejection };
                Ok(Answer::Stored(self.answer_key(now, hash, fingerprint, refused, fx)))
            }
            Some(_) | None => Err(rejection),
        };
        self.reply(ticket, outcome, false, fx);
    }
}

/// A request that found nothing to decide on, or another version, was not decided.
fn binds_key(rejection: &Rejection) -> bool {
    match rejection {
        Rejection::InvalidTransition { .. } | Rejection::ReservationExpired | Rejection::HoldLimit(_) => true,
        Rejection::BelowTaken { .. } | Rejection::TooMany => true,
        Rejection::NotFound | Rejection::VersionMismatch { .. } | Rejection::KeyReused | Rejection::KeyInProgress => false,
        // Adjustments have keys of their own, and closing a location takes none.
        Rejection::UnknownSku(_) | Rejection::Short(_) | Rejection::LocationInUse { .. } => false,
    }
}
