//! The idempotency key of an import, which is one of each of its lines.
//!
//! Invariant: a line of an import has one effect, whatever was set meanwhile and however often the import comes again under its key.

use crate::http::caller::Caller;
use crate::http::problem::Problem;
use actix_web::HttpRequest;
use data_encoding::HEXLOWER;
use holdfast_engine::command::{Command, CommandKey, Terms};
use holdfast_engine::ids::{Fingerprint, KeyHash};

/// Of an import without a key, none.
pub(super) struct RowKeys(Option<(Caller, KeyHash)>);

impl RowKeys {
    /// # Errors
    /// `invalid_request` for a key that is none.
    pub(super) fn of(request: &HttpRequest, caller: Caller) -> Result<Self, Problem> {
        let key = caller.optional_key(request, "imports", Fingerprint(0))?;
        Ok(Self(key.map(|key| (caller, key.hash))))
    }

    /// The command of a line, whose meaning has this fingerprint, under the key of that line.
    pub(super) fn bind(&self, line: u64, fingerprint: Fingerprint, command: Command) -> Command {
        let Some((caller, import)) = &self.0 else { return command };
        let hash = KeyHash::derive(&caller.scope, "imports", &format!("{} {line}", HEXLOWER.encode(&import.0)));
        let key = CommandKey { hash, fingerprint, request_id: caller.request_id.clone() };
        command.under(Terms { versions: None, key: Some(key) })
    }
}
