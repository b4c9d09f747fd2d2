//! The keys of `Table::Meta`, all of them, each with its owner.
//!
//! Invariant: every key is frozen, and no two owners ever meet under one.

use crate::contract::LogId;

/// The name of the journal ([`crate::history`]). The relay named it first, and topics carry it.
pub(crate) const JOURNAL_NAME: &[u8] = b"relay-journal";
/// This, the log and the number of the writer → the commit that the writer's tables follow from ([`super::basis`]).
pub(super) const BASIS: &[u8] = b"basis\0";
/// This and the partition → sequence of the newest snapshot there ever was ([`super::basis`]).
pub(super) const NEWEST_SNAPSHOT: &[u8] = b"newest snapshot\0";
/// The number of the last rows of the embedded store ([`crate::embedded`]).
pub(crate) const LAST_ROWS: &[u8] = b"last rows";
/// The file that the scrub has come to, and when its last pass finished ([`crate::scrub`]).
pub(crate) const SCRUB: &[u8] = b"scrub";

const MOVEMENTS: &[u8] = b"movements";

/// Up to which commit of a log its movements are written ([`super::projector`]).
pub(crate) fn movements(log: LogId) -> Vec<u8> {
    match log.0 {
        0 => MOVEMENTS.to_vec(),
        other => [MOVEMENTS, &other.to_be_bytes()].concat(),
    }
}

/// What of a log is published ([`crate::kafka::relay`]).
#[cfg(feature = "kafka")]
pub(crate) fn relay(log: LogId) -> Vec<u8> {
    [b"relay-".as_slice(), &log.0.to_be_bytes()].concat()
}

/// The check value of a commit that is published. Journals that were published before there were check values have none.
#[cfg(feature = "kafka")]
pub(crate) fn relay_check(log: LogId) -> Vec<u8> {
    [b"relay-check-".as_slice(), &log.0.to_be_bytes()].concat()
}

/// Whether a row says how far the tables follow a log: it goes where a copy of them goes.
pub(crate) fn follows_from_log(key: &[u8], log: LogId) -> bool {
    key == movements(log) || key.starts_with(&[BASIS, &log.0.to_be_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_key_of_any_log_is_another_owners() {
        let of_log = |log| {
            let mut keys = vec![movements(log)];
            for writer in [0, 1] {
                keys.push([BASIS, &log.0.to_be_bytes(), &[writer]].concat());
            }
            keys.push([NEWEST_SNAPSHOT, &log.0.to_be_bytes()].concat());
            #[cfg(feature = "kafka")]
            keys.extend([relay(log), relay_check(log)]);
            keys
        };
        let mut keys: Vec<Vec<u8>> = (0..=u16::MAX).flat_map(|log| of_log(LogId(log))).collect();
        keys.extend([JOURNAL_NAME, LAST_ROWS, SCRUB].map(<[u8]>::to_vec));
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    }

    #[test]
    fn keys_are_as_data_has_them() {
        assert_eq!((movements(LogId(0)), movements(LogId(258))), (b"movements".to_vec(), b"movements\x01\x02".to_vec()));
        #[cfg(feature = "kafka")]
        assert_eq!((relay(LogId(258)), relay_check(LogId(0))), (b"relay-\x01\x02".to_vec(), b"relay-check-\0\0".to_vec()));
    }
}
