//! A few SKUs for a first look, put into new data only.

use holdfast_actors::Handle;
use holdfast_engine::command::Command;
use holdfast_engine::ids::{Location, Sku};
use holdfast_engine::quantity::Quantity;

const STOCK: [(&str, &str, u32); 4] =
    [("DEMO-SHIRT", "berlin", 100), ("DEMO-SHIRT", "lyon", 50), ("DEMO-MUG", "berlin", 500), ("DEMO-LAST-ONE", "lyon", 1)];

pub async fn stock(handle: &Handle) {
    for (sku, location, on_hand) in STOCK {
        let (Some(sku), Some(location)) = (Sku::new(sku), Location::new(location)) else { continue };
        let on_hand = Quantity(on_hand);
        let command = Command::SetStock { sku, location, on_hand, safety_stock: None, priority: None, expected: None };
        if let Err(error) = handle.execute(command).await {
            tracing::warn!(%error, "demo stock not set");
        }
    }
}
