//! Commands under terms: of a version that was seen, and once for a key.
//!
//! Invariants: a key is looked at before a version, as what was done under it made another version; a command that finds another
//! version changes nothing and binds no key; a key is bound in the same batch as what it decided.

use super::Partition;
use super::saga::Wait;
use super::turn::{Request, Turn};
use crate::answer::Answer;
use crate::command::{Command, CommandKey, Loaded, Terms};
use crate::event::{History, Kind, StoredResponse};
use crate::ids::{OrderId, Sku, Ticket};
use crate::order::Order;
use crate::rejection::Rejection;
use std::sync::Arc;

impl Partition {
    pub(super) fn under(&mut self, turn: &mut Turn<'_>, request: Request, terms: Terms, command: Command) {
        if let Some(key) = &terms.key
            && self.answered_key(turn, &request, key)
        {
            return;
        }
        if let Some(versions) = &terms.versions
            && let Some(current) = self.version_of(turn, &command, &request.loaded)
            && !versions.contains(&current)
        {
            self.reply(turn, request.ticket, Err(Rejection::VersionMismatch { current }), false);
            // It may have expired just now.
            return command.order().into_iter().for_each(|order| self.advance(turn, order));
        }
        self.command(turn, request, command, terms.key);
    }

    /// The version that a command is about to change. `None` where there is nothing to change: what it is about is not here, or the
    /// command was carried out under its own key.
    fn version_of(&mut self, turn: &mut Turn<'_>, command: &Command, loaded: &Loaded) -> Option<u64> {
        match command {
            Command::AdjustStock { sku, key, .. } => {
                let answered = self.keys.contains_key(&key.hash) || loaded.key.is_some();
                (!answered).then(|| self.version_of_sku(sku))
            }
            Command::SetThreshold { sku, .. } | Command::SetStock { sku, .. } => Some(self.version_of_sku(sku)),
            Command::StartPayment { order, key, .. } => {
                let answered = self.keys.contains_key(&key.hash) || loaded.key.is_some();
                let started = answered || self.replay_payment(*order, key, loaded).is_some();
                if started { None } else { self.version_of_order(turn, *order, Kind::Order, loaded) }
            }
            Command::Cancel { order, kind, .. } | Command::Confirm { order, kind, .. } => {
                self.version_of_order(turn, *order, *kind, loaded)
            }
            Command::Extend { order, .. } => self.version_of_order(turn, *order, Kind::Reservation, loaded),
            Command::Place { .. } | Command::GetOrder { .. } | Command::PaymentResult { .. } => None,
            Command::GetStock { .. } | Command::Availability { .. } | Command::Under { .. } => None,
            Command::CloseLocation { .. } | Command::ListOrders { .. } | Command::ListStock { .. } => None,
            Command::GetAnswer { .. } | Command::RecordChanges { .. } | Command::ListChanges { .. } => None,
        }
    }

    pub(super) fn version_of_sku(&self, sku: &Sku) -> u64 {
        self.skus.get(sku).map_or(0, |stock| stock.version)
    }

    fn version_of_order(&mut self, turn: &mut Turn<'_>, id: OrderId, kind: Kind, loaded: &Loaded) -> Option<u64> {
        self.expire_due(turn, id);
        let history = self.orders.get(&id).map(|actor| actor.order.history()).or(loaded.order.as_ref())?;
        (history.placed().kind == kind).then(|| u64::from(history.version()))
    }

    /// What a used key is answered with.
    pub(super) fn shown_again(&self, answer: Arc<StoredResponse>, loaded: &Loaded) -> Result<Answer, Rejection> {
        let StoredResponse::Moved { order: id, facts } = *answer else { return Ok(Answer::Stored(answer)) };
        let archived = loaded.order.clone().map(|history| Order::of(id, history));
        let order = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref());
        order.ok_or(Rejection::NotFound)?.carried_out(facts as usize).ok_or(Rejection::KeyInProgress)
    }

    /// Replies to a command that moved an order on, or had not to.
    pub(super) fn reply_moved(&mut self, turn: &mut Turn<'_>, request: Request, id: OrderId, key: Option<CommandKey>) {
        let known = self.orders.get(&id).map(|actor| actor.order.version());
        match (known, key) {
            (Some(_), None) => self.wait(id, request.ticket, Wait::Moved),
            (Some(facts), Some(key)) => {
                self.answer_key(turn, key.hash, key.fingerprint, StoredResponse::Moved { order: id, facts });
                self.wait(id, request.ticket, Wait::CarriedOut(facts));
            }
            (None, None) => self.get_order(turn, request, id, None),
            (None, Some(key)) => {
                let facts = request.loaded.order.as_ref().map_or(0, History::version);
                self.answer_key(turn, key.hash, key.fingerprint, StoredResponse::Moved { order: id, facts });
                self.get_order(turn, request, id, None);
            }
        }
    }

    /// Replies to a command that was refused.
    pub(super) fn reply_refused(&mut self, turn: &mut Turn<'_>, ticket: Ticket, rejection: Rejection, key: Option<CommandKey>) {
        let outcome = match key {
            Some(CommandKey { hash, fingerprint, request_id }) if binds_key(&rejection) => {
                let refused = StoredResponse::Refused { request_id, rejection };
                Ok(Answer::Stored(self.answer_key(turn, hash, fingerprint, refused)))
            }
            Some(_) | None => Err(rejection),
        };
        self.reply(turn, ticket, outcome, false);
    }
}

/// A request that found nothing to decide on, or another version, was not decided.
fn binds_key(rejection: &Rejection) -> bool {
    match rejection {
        Rejection::InvalidTransition { .. } | Rejection::ReservationExpired | Rejection::HoldLimit(_) => true,
        Rejection::BelowTaken { .. } | Rejection::TooMany => true,
        Rejection::NotFound | Rejection::VersionMismatch { .. } | Rejection::KeyReused | Rejection::KeyInProgress => false,
        Rejection::HoldTooLong { .. } => false,
        // Adjustments have keys of their own, and closing a location takes none.
        Rejection::UnknownSku(_) | Rejection::Short(_) | Rejection::LocationInUse { .. } => false,
    }
}
