//! Counts of instructions that are kept, and what is said where others are counted.
//!
//! Invariant: only counts of one compiler and one kind of build are compared. Under another the difference is told and fails nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A count may be so many percent above the one that is kept.
const TOLERANCE: u64 = 5;

/// Instructions of one operation, by its name.
pub type Counts = BTreeMap<String, u64>;

/// Counts of one kind of build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub rustc: String,
    pub instructions: Counts,
}

/// The counts that are kept, by kind of build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline(pub BTreeMap<String, Counted>);

/// What there is to say of counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// A line of each operation.
    pub table: String,
    /// A sentence of each that is not as it must be.
    pub regressions: Vec<String>,
    /// Why nothing fails whatever was counted.
    pub note: Option<String>,
}

impl Baseline {
    pub fn compare(&self, build: &str, counted: &Counted) -> Findings {
        let kept = self.0.get(build);
        let note = match kept {
            None => Some(format!("no counts are kept of this kind of build ({build}): nothing is compared")),
            Some(kept) if kept.rustc != counted.rustc => {
                Some(format!("the counts that are kept were made by {}, these by {}: nothing fails", kept.rustc, counted.rustc))
            }
            Some(_) => None,
        };
        let mut findings = Findings { note, ..Findings::default() };
        for (name, count) in &counted.instructions {
            let expected = kept.and_then(|kept| kept.instructions.get(name)).copied();
            findings.add(name, *count, expected);
        }
        findings
    }
}

impl Findings {
    fn add(&mut self, name: &str, count: u64, expected: Option<u64>) {
        let change = expected.map_or_else(String::new, |expected| format!("{:+.1} %", percent(count, expected)));
        let shown = expected.map_or_else(|| "-".to_owned(), |expected| expected.to_string());
        let _ = writeln!(self.table, "{name:<18} {count:>9} {shown:>9}  {change}");
        if self.note.is_some() {
            return;
        }
        match expected {
            Some(expected) if count * 100 > expected * (100 + TOLERANCE) => self.regressions.push(format!(
                "{name} takes {count} instructions, {:.1} % more than the {expected} that are kept: make it cheaper, or say in the \
                 commit why it costs more and keep the new counts (--write).",
                percent(count, expected)
            )),
            Some(_) => {}
            None => self.regressions.push(format!("{name} takes {count} instructions and no count of it is kept: keep it (--write).")),
        }
    }
}

fn percent(count: u64, expected: u64) -> f64 {
    (count as f64 / expected.max(1) as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rustc: &str, instructions: &[(&str, u64)]) -> Counted {
        let instructions = instructions.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Counted { rustc: rustc.to_owned(), instructions }
    }

    fn kept() -> Baseline {
        Baseline(BTreeMap::from([("dev".to_owned(), counted("1.95", &[("hop", 1_000), ("read", 20_000)]))]))
    }

    #[test]
    fn a_count_fails_where_it_is_more_than_5_percent_above_the_one_that_is_kept() {
        let findings = kept().compare("dev", &counted("1.95", &[("hop", 1_050), ("read", 21_001)]));
        let [regression] = &findings.regressions[..] else { panic!("{findings:?}") };
        assert!(regression.starts_with("read takes 21001 instructions, 5.0 % more than the 20000"), "{regression}");
        assert_eq!(findings.note, None);
    }

    #[test]
    fn fewer_instructions_fail_nothing_and_are_shown() {
        let findings = kept().compare("dev", &counted("1.95", &[("hop", 500)]));
        assert!(findings.regressions.is_empty() && findings.table.contains("-50.0 %"), "{findings:?}");
    }

    #[test]
    fn an_operation_without_a_count_fails() {
        let findings = kept().compare("dev", &counted("1.95", &[("new", 1)]));
        assert_eq!(findings.regressions.len(), 1, "{findings:?}");
    }

    #[test]
    fn under_another_compiler_or_build_it_is_told_and_nothing_fails() {
        for (build, rustc) in [("dev", "1.96"), ("release", "1.95")] {
            let findings = kept().compare(build, &counted(rustc, &[("hop", 9_000), ("new", 1)]));
            assert!(findings.regressions.is_empty() && findings.note.is_some(), "{findings:?}");
        }
    }
}
