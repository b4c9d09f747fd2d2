//! What the page of each problem explains: why it happens, what to do about it, and how it looks on the wire.
//!
//! Invariant: no code without a guide, which the compiler sees to; an example has the members and the status of the real answer,
//! which a test sees to.

mod backups;
mod conflicts;
mod requests;
mod server;

use crate::http::problem::{Code, Problem};

/// The explanation of one code. Its title, its status and its first cure (`Code::advice`) stand beside the code itself.
/// Causes and cures name limits in braces: see [`crate::wire::figures::filled`].
pub struct Guide {
    /// One sentence.
    pub meaning: &'static str,
    pub causes: &'static [&'static str],
    /// What to do beyond `Code::advice`.
    pub cures: &'static [&'static str],
    /// An answer with this code.
    pub example: fn() -> Problem,
}

impl Code {
    pub fn guide(self) -> &'static Guide {
        match self {
            Code::InvalidRequest => &requests::INVALID_REQUEST,
            Code::IdempotencyKeyMissing => &requests::IDEMPOTENCY_KEY_MISSING,
            Code::ConditionUnsupported => &requests::CONDITION_UNSUPPORTED,
            Code::Unauthorized => &requests::UNAUTHORIZED,
            Code::Forbidden => &requests::FORBIDDEN,
            Code::ForbiddenOrigin => &requests::FORBIDDEN_ORIGIN,
            Code::NotFound => &requests::NOT_FOUND,
            Code::MethodNotAllowed => &requests::METHOD_NOT_ALLOWED,
            Code::RequestTimeout => &server::REQUEST_TIMEOUT,
            Code::OutOfStock => &conflicts::OUT_OF_STOCK,
            Code::TooManyLocations => &conflicts::TOO_MANY_LOCATIONS,
            Code::CountBelowTaken => &conflicts::COUNT_BELOW_TAKEN,
            Code::LocationInUse => &conflicts::LOCATION_IN_USE,
            Code::InvalidTransition => &conflicts::INVALID_TRANSITION,
            Code::ReservationExpired => &conflicts::RESERVATION_EXPIRED,
            Code::IdempotencyInProgress => &conflicts::IDEMPOTENCY_IN_PROGRESS,
            Code::BackupUnavailable => &backups::BACKUP_UNAVAILABLE,
            Code::BackupInProgress => &backups::BACKUP_IN_PROGRESS,
            Code::PlanStale => &conflicts::PLAN_STALE,
            Code::OperationRunning => &conflicts::OPERATION_RUNNING,
            Code::LimitReached => &conflicts::LIMIT_REACHED,
            Code::CursorNotOfThisHistory => &conflicts::CURSOR_NOT_OF_THIS_HISTORY,
            Code::CursorExpired => &conflicts::CURSOR_EXPIRED,
            Code::PreconditionFailed => &conflicts::PRECONDITION_FAILED,
            Code::TooLarge => &requests::TOO_LARGE,
            Code::UnsupportedMediaType => &requests::UNSUPPORTED_MEDIA_TYPE,
            Code::MisdirectedRequest => &requests::MISDIRECTED_REQUEST,
            Code::UnknownSku => &conflicts::UNKNOWN_SKU,
            Code::TotalsMismatch => &conflicts::TOTALS_MISMATCH,
            Code::ProviderUnavailable => &conflicts::PROVIDER_UNAVAILABLE,
            Code::IdempotencyKeyReused => &conflicts::IDEMPOTENCY_KEY_REUSED,
            Code::RateLimited => &requests::RATE_LIMITED,
            Code::PreconditionRequired => &requests::PRECONDITION_REQUIRED,
            Code::Internal => &server::INTERNAL,
            Code::Overloaded => &server::OVERLOADED,
            Code::Paused => &server::PAUSED,
            Code::ShuttingDown => &server::SHUTTING_DOWN,
            Code::InsufficientStorage => &backups::INSUFFICIENT_STORAGE,
            Code::DurabilityUnavailable => &server::DURABILITY_UNAVAILABLE,
        }
    }

    /// An answer with this code, as the server sends it.
    pub fn example(self) -> Problem {
        (self.guide().example)().by("req_5f2c8a1e9b7d4033")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::figures::filled;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_a_guide_of_its_own_with_all_parts() {
        let meanings: BTreeSet<&str> = Code::ALL.iter().map(|code| code.guide().meaning).collect();
        assert_eq!(meanings.len(), Code::ALL.len(), "two codes have the same guide");
        for &code in Code::ALL {
            let Guide { meaning, causes, cures, .. } = code.guide();
            let sentences = [*meaning, code.advice()].into_iter().chain(causes.iter().chain(*cures).copied());
            for sentence in sentences {
                let sentence = filled(sentence);
                assert!(sentence.len() > 20 && sentence.ends_with('.'), "{}: {sentence:?} is no sentence", code.name());
            }
            assert!(!causes.is_empty(), "{} has no cause", code.name());
        }
    }

    /// What is left in braces when the limits are in place.
    #[test]
    fn a_guide_names_no_limit_that_is_not_known() {
        for &code in Code::ALL {
            let Guide { causes, cures, .. } = code.guide();
            for sentence in [code.advice()].iter().chain(*causes).chain(*cures) {
                let filled = filled(sentence);
                let mut left = filled.split('{').skip(1).filter_map(|rest| rest.split('}').next());
                assert_eq!(left.find(|name| !["id", "sku", "location"].contains(name)), None, "{filled}");
            }
        }
    }

    #[test]
    fn the_example_of_a_code_has_that_code_and_says_what_happened() {
        for &code in Code::ALL {
            let example = code.example();
            assert_eq!((example.code, example.response().status().as_u16()), (code, code.status()));
            assert!(!example.detail.is_empty() && !example.request_id.is_empty(), "{}", code.name());
        }
    }
}
