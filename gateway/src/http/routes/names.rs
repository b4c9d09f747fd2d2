//! Names that nobody can read whole: with a format character, a variation selector or anything else that leaves no mark.
//!
//! Invariant: no request brings such a name into the data, and a SKU or location that has one from before goes on. Customers and
//! sellers are not looked up: an order that is no retry brings them anew. What is asked of existing things by their names is not
//! looked at here, nor is what was answered under its key before.

use super::availability::available;
use super::live;
use super::sender::Sender;
use crate::http::problem::{FieldError, Problem};
use crate::http::reply::unanswered;
use crate::state::App;
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::command::{Command, CommandKey};
use holdfast_engine::event::{Kind, Placed, StockView};
use holdfast_engine::ids::{Label, Location, OrderId, PartitionId, Sku, invisible};

/// A name of a request that nobody can read whole.
struct Unreadable<'a> {
    pointer: String,
    /// What it is a name of, where the pointer does not say.
    what: &'static str,
    character: char,
    /// A SKU may be one that is there.
    sku: Option<&'a Sku>,
}

impl<'a> Unreadable<'a> {
    fn text(text: &str, pointer: impl FnOnce() -> String) -> Option<Self> {
        invisible(text).map(|character| Self { pointer: pointer(), what: "", character, sku: None })
    }

    fn sku(sku: &'a Sku, pointer: impl FnOnce() -> String) -> Option<Self> {
        Self::text(sku.as_str(), pointer).map(|name| Self { sku: Some(sku), ..name })
    }

    fn error(&self) -> FieldError {
        let message = format!("{}must not have the invisible character U+{:04X}", self.what, u32::from(self.character));
        FieldError::new(self.pointer.clone(), message)
    }

    /// Of a name that stands in no member of a body.
    fn outside(text: &str, what: &'static str) -> Option<Self> {
        Self::text(text, String::new).map(|name| Self { what, ..name })
    }
}

/// Whether every name of an order or reservation can be read. Costs a look at each.
pub fn readable(placed: &Placed) -> bool {
    unreadable_in(placed).next().is_none()
}

fn unreadable_in(placed: &Placed) -> impl Iterator<Item = Unreadable<'_>> {
    let owner = if placed.kind == Kind::Order { "/customer_id" } else { "/owner" };
    let customer = placed.customer.as_ref().and_then(|name| Unreadable::text(name.as_str(), || owner.to_owned()));
    let lines = placed.lines.iter().enumerate().flat_map(|(index, line)| {
        let sku = Unreadable::sku(&line.sku, || format!("/lines/{index}/sku"));
        let seller = line.seller.as_ref().map(Label::as_str);
        let seller = seller.and_then(|seller| Unreadable::text(seller, || format!("/lines/{index}/seller_id")));
        sku.into_iter().chain(seller)
    });
    customer.into_iter().chain(lines)
}

/// Lets a command of the sender's pass that brings no unreadable name with it.
///
/// # Errors
/// `invalid_request` with each such name, or why it cannot be known whether it is new.
pub async fn check(app: &App, sender: Sender, command: &Command) -> Result<(), Problem> {
    let (command, key) = match command {
        Command::Under { terms, command } => (&**command, terms.key.as_ref()),
        command => (command, None),
    };
    match command {
        Command::Place { order, placed } => check_placed(app, sender, *order, placed).await,
        Command::SetStock { sku, location, .. } => {
            let location_name = Unreadable::outside(location.as_str(), "the location ");
            check_stock(app, sender, (sku, location), location_name, &[], key).await
        }
        Command::AdjustStock { sku, location, reason, reference, key, .. } => {
            let reason = Unreadable::text(reason.as_str(), || "/reason".to_owned());
            let reference = reference.as_ref().map_or("", Label::as_str);
            let reference = Unreadable::text(reference, || "/reference".to_owned());
            let texts: Vec<Unreadable<'_>> = reason.into_iter().chain(reference).collect();
            let location_name = Unreadable::text(location.as_str(), || "/location".to_owned());
            check_stock(app, sender, (sku, location), location_name, &texts, Some(key)).await
        }
        Command::Cancel { reason: Some(reason), .. } | Command::Confirm { reason: Some(reason), .. } => {
            refuse(Unreadable::text(reason.as_str(), || "/reason".to_owned()).iter())
        }
        // What is named in these is there, or they find nothing.
        Command::Cancel { .. } | Command::Confirm { .. } | Command::Extend { .. } | Command::StartPayment { .. } => Ok(()),
        Command::PaymentResult { .. } | Command::SetThreshold { .. } | Command::CloseLocation { .. } => Ok(()),
        Command::GetOrder { .. } | Command::GetStock { .. } | Command::Availability { .. } => Ok(()),
        Command::ListOrders { .. } | Command::ListStock { .. } | Command::GetAnswer { .. } | Command::Under { .. } => Ok(()),
        Command::RecordChanges { .. } | Command::ListChanges { .. } => Ok(()),
    }
}

fn refuse<'a>(names: impl Iterator<Item = &'a Unreadable<'a>>) -> Result<(), Problem> {
    let errors: Vec<FieldError> = names.map(Unreadable::error).collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// As [`check`], for an order or reservation.
///
/// # Errors
/// As [`check`].
pub async fn check_placed(app: &App, sender: Sender, order: OrderId, placed: &Placed) -> Result<(), Problem> {
    if readable(placed) || answer(app, sender, Command::GetOrder { order, kind: None }).await?.is_some() {
        return Ok(());
    }
    let names: Vec<Unreadable<'_>> = unreadable_in(placed).collect();
    let skus: Vec<Sku> = names.iter().filter_map(|name| name.sku.cloned()).collect();
    let found = available(app, sender, &skus).await?;
    let known = |sku: &Sku| found.get(sku).copied().flatten().is_some();
    refuse(names.iter().filter(|name| !name.sku.is_some_and(known)))
}

async fn check_stock(
    app: &App,
    sender: Sender,
    (sku, location): (&Sku, &Location),
    location_name: Option<Unreadable<'_>>,
    texts: &[Unreadable<'_>],
    key: Option<&CommandKey>,
) -> Result<(), Problem> {
    let sku_name = Unreadable::outside(sku.as_str(), "the SKU ");
    if sku_name.is_none() && location_name.is_none() && texts.is_empty() {
        return Ok(());
    }
    let home = live(app)?.handle.router().partitions.of_sku(sku);
    if let Some(key) = key
        && answered(app, sender, home, key).await?
    {
        return Ok(());
    }
    let stock = match answer(app, sender, Command::GetStock { sku: sku.clone() }).await? {
        Some(Answer::Stock(stock)) => Some(stock),
        Some(_) | None => None,
    };
    let there = |stock: &StockView| stock.locations.iter().any(|place| place.location == *location);
    let new_sku = sku_name.as_ref().filter(|_| stock.is_none());
    let new_location = location_name.as_ref().filter(|_| !stock.as_ref().is_some_and(there));
    refuse(new_sku.into_iter().chain(new_location).chain(texts))
}

async fn answered(app: &App, sender: Sender, partition: PartitionId, key: &CommandKey) -> Result<bool, Problem> {
    match sender.execute(app, Command::GetAnswer { partition, key: key.clone() }).await {
        // Another body under the key is for the command itself to refuse.
        Ok(reply) => Ok(reply.replayed),
        Err(why) => Err(unanswered(why)),
    }
}

async fn answer(app: &App, sender: Sender, command: Command) -> Result<Option<Answer>, Problem> {
    match sender.execute(app, command).await {
        Ok(Reply { outcome, .. }) => Ok(outcome.ok()),
        Err(why) => Err(unanswered(why)),
    }
}
