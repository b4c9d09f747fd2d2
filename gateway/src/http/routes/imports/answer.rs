//! The lines that answer an import.
//!
//! Invariant: the last one, and no other, says how many rows were imported.

use crate::http::problem::Code;
use serde::Serialize;
use utoipa::ToSchema;

/// One line of the answer to an import.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ImportLine {
    Refused(RefusedRow),
    Ended(ImportEnd),
}

/// A row that was not taken, and why.
#[derive(Serialize, ToSchema)]
pub(super) struct RefusedRow {
    /// From 1, blank lines counted.
    pub line: u64,
    #[schema(value_type = Code)]
    pub code: &'static str,
    pub detail: String,
}

/// The last line: how the import ended. Where the engine did not go on with it, it says so.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct ImportEnd {
    pub imported: u64,
    pub refused: u64,
    /// Rows that were read and have no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub unfinished: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Code>, nullable = false)]
    pub code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// Every line before it is settled; from it on they may be sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub resume_from_line: Option<u64>,
}
