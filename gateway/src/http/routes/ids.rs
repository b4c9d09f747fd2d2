//! Ids as they stand in paths.
//!
//! Invariant: an id has one spelling. What is not spelled so names nothing, and no part of it is ignored.

use crate::http::problem::{Code, FieldError, Problem};
use crate::state::App;
use crate::wire::ids::{ORDER, RESERVATION};
use holdfast_engine::event::Kind;
use holdfast_engine::ids::{OrderId, Sku};
use holdfast_engine::order::Order;

/// What an id names: an order or a reservation, or of that the holds of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub order: OrderId,
    generation: Option<u8>,
}

impl Named {
    /// # Errors
    /// `not_found`: what is no id names nothing.
    pub fn parse(app: &App, kind: Kind, id: &str) -> Result<Self, Problem> {
        let partitions = app.settings.data.partitions;
        let known = app.live.load().as_ref().map_or(partitions, |live| live.handle.router().partitions.count());
        read(kind, id).filter(|named| named.order.partition().0 < known).ok_or_else(|| nothing(id))
    }

    /// Whether it names the first holds, which are all that a reservation without an order ever has.
    pub fn is_first(self) -> bool {
        self.generation.is_none_or(|generation| generation == 1)
    }

    /// Whether the order has, or had, the holds that it names.
    pub fn is_in(self, order: &Order) -> bool {
        self.generation.is_none_or(|generation| generation <= order.generation)
    }
}

/// # Errors
/// `invalid_request` for a path that names no SKU.
pub fn sku_of(text: &str) -> Result<Sku, Problem> {
    let refused = || Problem::invalid(vec![FieldError::new("", format!("the SKU in the path {}", Sku::rule()))]);
    Sku::new(text).ok_or_else(refused)
}

pub fn nothing(id: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing under {id}"))
}

fn read(kind: Kind, id: &str) -> Option<Named> {
    let (bare, generation) = match kind {
        Kind::Order => (id.strip_prefix(ORDER)?, None),
        Kind::Reservation => match id.strip_prefix(RESERVATION)?.split_once('-') {
            Some((bare, number)) => (bare, Some(generation(number)?)),
            None => (id.strip_prefix(RESERVATION)?, None),
        },
    };
    Some(Named { order: OrderId::parse(bare)?, generation })
}

/// A number from 1, without a sign and leading zeros.
fn generation(text: &str) -> Option<u8> {
    let number = text.parse::<u8>().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::ids::{KeyHash, Partitions};

    #[test]
    fn an_id_has_one_spelling_and_no_part_of_it_is_ignored() {
        let order = OrderId::derive(KeyHash::derive("c", "orders", "k"), Partitions::new(64).unwrap());
        let bare = order.to_string();
        let named = |kind, prefix: &str, rest: &str| read(kind, &format!("{prefix}{bare}{rest}"));
        assert_eq!(named(Kind::Order, "ord_", ""), Some(Named { order, generation: None }));
        assert_eq!(named(Kind::Reservation, "res_", ""), Some(Named { order, generation: None }));
        assert_eq!(named(Kind::Reservation, "res_", "-2"), Some(Named { order, generation: Some(2) }));
        for (kind, prefix, rest) in [
            (Kind::Order, "ord_", "-1"),
            (Kind::Order, "ord_", "-99"),
            (Kind::Order, "ord_", "-"),
            (Kind::Order, "res_", ""),
            (Kind::Order, "ORD_", ""),
            (Kind::Order, "", ""),
            (Kind::Order, "ord_ ", ""),
            (Kind::Order, "ord_", "0"),
            (Kind::Reservation, "ord_", ""),
            (Kind::Reservation, "res_", "-"),
            (Kind::Reservation, "res_", "-0"),
            (Kind::Reservation, "res_", "-01"),
            (Kind::Reservation, "res_", "-+1"),
            (Kind::Reservation, "res_", "-256"),
            (Kind::Reservation, "res_", "-1-1"),
        ] {
            assert_eq!(named(kind, prefix, rest), None, "{prefix}X{rest}");
        }
        assert_eq!(read(Kind::Order, &format!("ord_{}", bare.to_uppercase())), None);
    }
}
