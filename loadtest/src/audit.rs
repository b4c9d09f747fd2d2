//! After the load: what was accepted is what is held, never more than there was, and the server's own audit agrees.

use crate::http::Target;
use crate::report::Outcomes;

/// A fresh name for the SKUs of this run, so that runs on the same server do not meet.
pub(crate) fn run_name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", now.as_micros())
}

/// Puts `units` of each SKU into stock.
pub(crate) async fn stock(target: &Target, skus: &[String], units: u64) -> Result<(), String> {
    for sku in skus {
        let path = format!("/v1/inventory/{sku}/locations/load");
        target.call("PUT", &path, "If-Match: *\r\n", &format!("{{\"on_hand\":{units}}}")).await?;
    }
    Ok(())
}

/// Everything that does not add up, in words. Each accepted order is of one unit.
pub(crate) async fn violations(target: &Target, skus: &[String], units: u64, outcomes: &Outcomes) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for (label, sku) in skus.iter().enumerate() {
        let stock = target.call("GET", &format!("/v1/inventory/{sku}"), "", "").await?;
        let count = |bucket: &str| stock[bucket].as_u64().unwrap_or(u64::MAX / 8);
        let taken = count("held") + count("pinned") + count("committed");
        let of = |counts: &std::collections::BTreeMap<usize, u64>| counts.get(&label).copied().unwrap_or(0);
        let (accepted, unknown) = (of(&outcomes.accepted), of(&outcomes.unknown));
        if accepted > units {
            found.push(format!("{sku}: {accepted} accepted of {units} units"));
        }
        if taken < accepted || taken > accepted + unknown {
            found.push(format!("{sku}: {taken} taken, {accepted} accepted, {unknown} unknown"));
        }
        if count("available") + taken != units {
            found.push(format!("{sku}: {} available and {taken} taken of {units}", count("available")));
        }
    }
    let audit = target.call("POST", "/admin/v1/audit", "", "").await?;
    if audit["ok"] != true {
        found.push(format!("audit: {}", audit["violations"]));
    }
    Ok(found)
}

/// The body of an order of one unit.
pub(crate) fn order(sku: &str) -> String {
    format!(
        "{{\"customer_id\":\"load\",\"currency\":\"EUR\",\"lines\":[{{\"sku\":\"{sku}\",\"quantity\":1,\"unit_price\":1999}}]}}"
    )
}
