//! What is not true yet: a rule and the key of its finding. It is empty when the house is in order.

pub(crate) const EXCEPTIONS: &[(&str, &str)] = &[
    ("circles", "storage"),
    ("circles", "storage/relay"),
    ("circles", "gateway"),
    ("circles", "gateway/routes"),
    ("drivers", "rdkafka"),
    ("limits", "gateway/src/backend.rs"),
    ("limits", "gateway/src/openapi/scalars.rs"),
    ("limits", "gateway/src/problem.rs"),
    ("limits", "gateway/src/problem/guide/conflicts.rs"),
    ("limits", "gateway/src/problem/guide/requests.rs"),
    ("limits", "gateway/src/request.rs"),
    ("limits", "gateway/src/routes/batch.rs"),
    ("limits", "gateway/src/routes/imports/lines.rs"),
    ("words", "engine AdjustmentRefusal"),
    ("words", "engine StockRefusal"),
];
