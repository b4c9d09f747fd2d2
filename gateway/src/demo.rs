//! A few SKUs for a first look, put into new data only, and an order for them.
//!
//! Invariant: the order, sent to a server with new demo data, succeeds.

use holdfast_actors::Handle;
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::command::Command;
use holdfast_engine::ids::{Location, Sku};
use holdfast_engine::quantity::Quantity;
use std::time::Duration;

const STOCK: [(&str, &str, u32); 4] =
    [(SKU, "berlin", 100), (SKU, "lyon", 50), ("DEMO-MUG", "berlin", 500), ("DEMO-LAST-ONE", "lyon", 1)];

/// What the order is of, and how much of it.
pub const SKU: &str = "DEMO-SHIRT";
pub const QUANTITY: u64 = 2;

/// The body of an order of demo stock, to be paid by `provider` if one is named.
pub fn order(provider: Option<&str>) -> String {
    let payment = provider.map_or_else(String::new, |provider| format!(r#","payment":{{"provider":"{provider}"}}"#));
    format!(
        r#"{{"customer_id":"ada","currency":"EUR","lines":[{{"sku":"{SKU}","quantity":{QUANTITY},"unit_price":1999}}]{payment}}}"#
    )
}

/// Whether the order would find its stock now. False also where that cannot be known soon.
pub async fn can_be_ordered(handle: &Handle) -> bool {
    const SOON: Duration = Duration::from_secs(1);
    let Some(sku) = Sku::new(SKU) else { return false };
    let partition = handle.router().partitions.of_sku(&sku);
    let asked = handle.execute(Command::Availability { partition, skus: vec![sku] });
    match tokio::time::timeout(SOON, asked).await {
        Ok(Ok(Reply { outcome: Ok(Answer::Availability(items)), .. })) => {
            items.iter().any(|(_, units)| units.is_some_and(|units| units >= QUANTITY))
        }
        _ => false,
    }
}

pub async fn stock(handle: &Handle) {
    for (sku, location, on_hand) in STOCK {
        let (Some(sku), Some(location)) = (Sku::new(sku), Location::new(location)) else { continue };
        let on_hand = Quantity::new(on_hand);
        let command = Command::SetStock { sku, location, on_hand, safety_stock: None, priority: None, expected: None };
        if let Err(error) = handle.execute(command).await {
            tracing::warn!(%error, "demo stock not set");
        }
    }
}
