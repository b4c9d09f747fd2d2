//! Commands, each to what carries it out, and the keys under which they are answered.
//!
//! Invariant: every command is replied to once, now or by what waits for it.

use super::turn::{Request, Turn};
use super::{Gated, Partition};
use crate::answer::Answer;
use crate::command::{Command, CommandKey};
use crate::event::{Event, KeyFact, Kind, StoredResponse};
use crate::ids::{Fingerprint, KeyHash, Sku};
use crate::plant::{self, Bug};
use crate::rejection::Rejection;
use crate::stock::SkuStock;
use std::sync::Arc;

impl Partition {
    /// Carries out a command, under the `key` of its caller where it has none of its own.
    pub(super) fn command(&mut self, turn: &mut Turn<'_>, request: Request, command: Command, key: Option<CommandKey>) {
        let (now, ticket) = (turn.now, request.ticket);
        match command {
            Command::Under { terms, command } => self.under(turn, request, *terms, *command),
            Command::Place { order, placed } => self.place(turn, request, order, placed),
            Command::GetOrder { order, kind } => self.get_order(turn, request, order, kind),
            Command::Cancel { order, kind, reason } => {
                self.command_order(turn, request, (order, Some(kind)), key, |order, _| order.decide_cancel(reason));
            }
            Command::Confirm { order, kind, reason } => {
                self.command_order(turn, request, (order, Some(kind)), key, |order, _| order.decide_confirm(now, reason));
            }
            Command::Extend { order, ttl_ms } => {
                let kind = Some(Kind::Reservation);
                self.command_order(turn, request, (order, kind), key, |order, policy| order.decide_extend(now, ttl_ms, policy));
            }
            Command::StartPayment { order, provider, return_url, key } => {
                self.start_payment(turn, request, order, (provider, return_url), key);
            }
            Command::PaymentResult { attempt, outcome } => self.payment_result(turn, request, attempt, outcome),
            Command::SetStock { sku, location, on_hand, safety_stock, priority, expected } => {
                let expected = expected.as_deref();
                let outcome =
                    self.change_stock(turn, &sku, |stock| stock.decide_set(location, on_hand, safety_stock, priority, expected));
                self.reply_stock(turn, ticket, &sku, outcome, key);
            }
            Command::SetThreshold { sku, threshold } => {
                let outcome = self.change_stock(turn, &sku, |stock| stock.decide_threshold(threshold));
                self.reply_stock(turn, ticket, &sku, outcome, key);
            }
            Command::CloseLocation { sku, location, expected } => {
                self.close_location(turn, ticket, (&sku, location), expected.as_deref())
            }
            Command::AdjustStock { sku, location, bucket, delta, reason, reference, key } => {
                if !self.answered_key(turn, &request, &key) {
                    self.adjust(turn, ticket, &sku, key, |stock| stock.decide_adjust(location, bucket, delta, reason, reference));
                }
            }
            Command::GetStock { sku } => {
                let view = self.skus.get(&sku).filter(|stock| stock.known()).map(|stock| Answer::Stock(stock.view(&sku)));
                self.reply(turn, ticket, view.ok_or(Rejection::NotFound), false);
            }
            Command::Availability { skus, .. } => {
                let of = |sku: &Sku| self.skus.get(sku).filter(|stock| stock.known()).map(SkuStock::available);
                let items = skus.into_iter().map(|sku| (sku.clone(), of(&sku))).collect();
                self.reply(turn, ticket, Ok(Answer::Availability(items)), false);
            }
            Command::ListOrders { filter, after, limit, .. } => {
                let page = self.list_orders(&filter, after, limit);
                self.reply(turn, ticket, Ok(Answer::Orders(page)), false);
            }
            Command::ListStock { prefix, after, limit, .. } => {
                let page = self.list_stock(prefix.as_ref(), after.as_ref(), limit);
                self.reply(turn, ticket, Ok(Answer::StockList(page)), false);
            }
            Command::RecordChanges { changes, .. } => self.record_changes(turn, request, changes),
            Command::ListChanges { before, limit, .. } => self.list_changes(turn, request, before, limit),
            Command::GetAnswer { key, .. } => {
                if !self.answered_key(turn, &request, &key) {
                    self.reply(turn, ticket, Err(Rejection::NotFound), false);
                }
            }
        }
    }

    /// Replays the answer of a used key. True if that was the whole of the command.
    pub(super) fn answered_key(&mut self, turn: &mut Turn<'_>, request: &Request, key: &CommandKey) -> bool {
        let kept = self.keys.get(&key.hash).map(|record| (record.fingerprint, record.answer.clone()));
        let Some((fingerprint, answer)) = kept.or_else(|| request.loaded.key.clone()) else { return false };
        let same = fingerprint == key.fingerprint || plant::active(Bug::BodyNotCompared);
        let outcome = if same { self.shown_again(answer, &request.loaded) } else { Err(Rejection::KeyReused) };
        self.reply(turn, request.ticket, outcome, true);
        true
    }

    pub(super) fn answer_key(
        &mut self,
        turn: &mut Turn<'_>,
        key: KeyHash,
        fingerprint: Fingerprint,
        answer: StoredResponse,
    ) -> Arc<StoredResponse> {
        assert!(!self.keys.contains_key(&key), "key {key:?} is answered twice");
        let answer = Arc::new(answer);
        self.emit(turn, Event::Key(KeyFact::Answered { key, fingerprint, answer: answer.clone() }));
        self.archive_key(turn, key);
        answer
    }

    pub(super) fn archive_key(&mut self, turn: &mut Turn<'_>, key: KeyHash) {
        if let Some(archive) = self.archive_of_key(key) {
            self.gate.push(self.seq, Gated::Archive(archive), turn.fx);
        }
    }
}
