//! Whose an order is, where storefronts reach only their own (`auth.own_orders`).
//!
//! Invariants: it is asked before anything is done with the order, and never changes: an order keeps the name of the client that placed it.
//! One without a name, placed without keys or by an earlier version, is everybody's.

use super::history;
use crate::http::caller::Caller;
use crate::http::problem::{Code, Problem};
use crate::keys::Role;
use crate::state::App;
use holdfast_engine::ids::OrderId;
use holdfast_engine::order::Order;

/// Whether the caller reaches its own orders alone.
fn is_bounded(app: &App, caller: &Caller) -> bool {
    app.settings.auth.own_orders && caller.role == Role::Storefront
}

/// Lets an order pass that the caller reaches. One that nobody knows is none: it may be another client's by the time it is asked for.
///
/// # Errors
/// `forbidden` for an order of another client, `not_found`, or why that cannot be known.
pub async fn reaches(app: &App, caller: &Caller, order: OrderId) -> Result<(), Problem> {
    if !is_bounded(app, caller) {
        return Ok(());
    }
    let known = history(app, order).await?.ok_or_else(|| Problem::new(Code::NotFound, "there is no such order"))?;
    if owns(app, caller, known.origin().client) { Ok(()) } else { Err(of_another_client()) }
}

/// Whether the caller reaches an order that this client placed.
pub fn sees(app: &App, caller: &Caller, client: Option<&str>) -> bool {
    !is_bounded(app, caller) || owns(app, caller, client)
}

fn owns(app: &App, caller: &Caller, client: Option<&str>) -> bool {
    let Some(client) = client else { return true };
    let own = caller.client.as_ref().is_some_and(|own| own.as_str() == client);
    own || app.keys.now().as_ref().is_some_and(|keys| keys.is_of_scope(client, &caller.scope))
}

/// An order as the caller is shown it: a link that lets a buyer pay is not for whoever may only look.
pub fn shown_to(caller: &Caller, order: Order) -> Order {
    if caller.role.may_pay() { order } else { order.without_links() }
}

/// Lets a caller pass who may see what is everybody's.
///
/// # Errors
/// `forbidden`.
pub fn sees_all(app: &App, caller: &Caller) -> Result<(), Problem> {
    let detail = "the events of all clients come together: with auth.own_orders they need the key of a viewer or an admin";
    if is_bounded(app, caller) { Err(Problem::new(Code::Forbidden, detail)) } else { Ok(()) }
}

fn of_another_client() -> Problem {
    Problem::new(Code::Forbidden, "another client placed this order, and with auth.own_orders a storefront reaches its own alone")
}
