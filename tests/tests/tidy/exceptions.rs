//! What is not true yet: a rule and the key of its finding. It is empty when the house is in order.

pub(crate) const EXCEPTIONS: &[(&str, &str)] = &[];
