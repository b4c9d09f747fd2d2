//! What came of it, in figures and in words.
//!
//! Invariant: a figure that is not known is not shown as 0: it is named as unknown.

use super::histogram::Histograms;
use crate::audit::Audit;
use crate::ledger::Breach;
use crate::record::{Class, Record};
use crate::scenario::Scenario;
use crate::summary::{self, Percentiles, Totals};
use serde_json::json;

/// The load on one number of shards that does not change.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Still {
    pub(super) shards: u32,
    pub(super) p99_ms: f64,
}

/// The load while the number changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Moving {
    due: u64,
    rate: f64,
    seconds: f64,
    moves: u64,
    failed: u64,
    unknown: u64,
    turned_away: u64,
    p99_ms: Option<f64>,
    pause_p99_ms: Option<f64>,
    commit_p99_ms: Option<f64>,
    invalid: Vec<String>,
}

/// Beyond which it was too slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) pause_ms: f64,
    pub(super) ratio: f64,
}

impl Moving {
    pub(super) fn of(record: &Record, scenario: &Scenario, (seconds, moves): (f64, u64), histograms: &Histograms) -> Self {
        let totals = Totals::of(record, seconds);
        let count =
            |of: Class| record.latencies.iter().filter(|((_, class), _)| *class == of).map(|(_, all)| all.len()).sum::<u64>();
        let answers = record.answers.values().flatten();
        let unknown = answers.filter(|(name, _)| name.starts_with("202")).map(|(_, count)| count).sum();
        Self {
            due: totals.due,
            rate: scenario.load.rate,
            seconds,
            moves,
            failed: count(Class::Failed).saturating_sub(unknown),
            unknown,
            turned_away: count(Class::TurnedAway),
            p99_ms: record.percentile(Class::Accepted, 99.0),
            pause_p99_ms: histograms.pause.percentile(99.0),
            commit_p99_ms: histograms.commit.percentile(99.0),
            invalid: summary::invalid(scenario, &totals, &Percentiles::of(&record.lateness)),
        }
    }
}

pub(crate) struct Outcome {
    steps: Vec<u32>,
    still: Vec<Still>,
    moving: Moving,
    lost_holds: usize,
    ratio: Option<f64>,
    pub(super) audit: Audit,
    notes: Vec<String>,
    limits: Limits,
    /// Why its figures cannot be believed.
    pub(crate) invalid: Vec<String>,
}

impl Outcome {
    pub(super) fn of(
        steps: &[u32],
        still: Vec<Still>,
        moving: Moving,
        audit: Audit,
        (notes, limits): (Vec<String>, Limits),
    ) -> Self {
        let worst = still.iter().map(|one| one.p99_ms).fold(0.0, f64::max);
        let ratio = moving.p99_ms.filter(|_| worst > 0.0).map(|p99| p99 / worst);
        let lost_holds = audit.findings.iter().filter(|finding| finding.breach == Breach::LostAcknowledgement).count();
        let (steps, invalid) = (steps.to_vec(), moving.invalid.clone());
        Self { steps, still, moving, lost_holds, ratio, audit, notes, limits, invalid }
    }

    /// Nothing failed, nothing is lost, and nothing was too slow.
    pub(crate) fn is_ok(&self) -> bool {
        let Moving { failed, unknown, .. } = self.moving;
        failed == 0 && unknown == 0 && self.audit.findings.is_empty() && self.broken().is_empty()
    }

    /// Limits that were broken. Where the generator was late, what is too slow may be its own.
    fn broken(&self) -> Vec<String> {
        let above = |found: Option<f64>, limit: f64| found.filter(|found| self.invalid.is_empty() && *found > limit);
        let pause = above(self.moving.pause_p99_ms, self.limits.pause_ms);
        let pause =
            pause.map(|pause| format!("one pause in a hundred is {pause:.1} ms, the limit is {} ms", self.limits.pause_ms));
        let ratio = above(self.ratio, self.limits.ratio);
        let ratio =
            ratio.map(|ratio| format!("p99 is {ratio:.2} of the worst standing still, the limit is {}", self.limits.ratio));
        pause.into_iter().chain(ratio).collect()
    }

    pub(crate) fn json(&self) -> String {
        let Moving { due, rate, seconds, moves, failed, unknown, turned_away, p99_ms, pause_p99_ms, commit_p99_ms, .. } =
            &self.moving;
        let shown = json!({
            "scenario": "reshard", "ok": self.is_ok(), "valid": self.invalid.is_empty(), "steps": self.steps,
            "due": due, "rate": rate, "seconds": seconds, "moves": moves,
            "failed": failed, "lost_holds": self.lost_holds, "unknown": unknown, "retryable_503": turned_away,
            "pause_p99_ms": pause_p99_ms, "commit_p99_ms": commit_p99_ms, "p99_ms": p99_ms, "p99_ratio": self.ratio,
            "standing_still": self.still, "audit": self.audit,
            "broken": self.broken(), "invalid": self.invalid, "notes": self.notes,
        });
        shown.to_string()
    }

    pub(crate) fn text(&self) -> String {
        let Moving { due, rate, seconds, moves, .. } = self.moving;
        let steps: Vec<String> = self.steps.iter().map(u32::to_string).collect();
        let head =
            format!("reshard: {due} orders due in {seconds:.1} s at {rate:.0}/s, {} shards, {moves} moves", steps.join(" → "));
        let still: Vec<String> = self.still.iter().map(|one| format!("{} shards {:.2}", one.shards, one.p99_ms)).collect();
        let mut lines = vec![head, format!("  {}", self.figures())];
        lines.push(format!("  standing still, p99 ms: {}", still.join(", ")));
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.extend(self.invalid.iter().map(|why| format!("  NOT VALID {why}")));
        lines.extend(self.broken().iter().map(|what| format!("  LIMIT {what}")));
        lines.extend(self.audit.findings.iter().map(|finding| format!("  {:?} {}", finding.breach, finding.what)));
        lines.join("\n")
    }

    /// In one line, for those who look for one of them.
    fn figures(&self) -> String {
        let shown = |figure: Option<f64>| figure.map_or_else(|| "unknown".to_owned(), |figure| format!("{figure:.2}"));
        let Moving { failed, unknown, turned_away, p99_ms, pause_p99_ms, commit_p99_ms, .. } = &self.moving;
        format!(
            "failed={failed} lost_holds={} unknown={unknown} retryable_503={turned_away} pause_p99_ms={} commit_p99_ms={} p99_ms={} \
             p99_ratio={} audit={}",
            self.lost_holds,
            shown(*pause_p99_ms),
            shown(*commit_p99_ms),
            shown(*p99_ms),
            shown(self.ratio),
            if self.audit.findings.is_empty() { "ok" } else { "failed" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Finding;

    fn outcome(moving: Moving, findings: Vec<Finding>) -> Outcome {
        let still = [(1, 4.0), (4, 5.0)].map(|(shards, p99_ms)| Still { shards, p99_ms });
        let limits = Limits { pause_ms: 10.0, ratio: 2.0 };
        Outcome::of(&[1, 4, 1], still.into(), moving, Audit { findings, ..Audit::default() }, (Vec::new(), limits))
    }

    fn good() -> Moving {
        Moving { p99_ms: Some(9.0), pause_p99_ms: Some(3.0), commit_p99_ms: Some(2.0), moves: 96, ..Moving::default() }
    }

    #[test]
    fn it_is_compared_with_the_worst_that_stood_still() {
        let figures = outcome(good(), Vec::new()).figures();
        assert_eq!(
            figures,
            "failed=0 lost_holds=0 unknown=0 retryable_503=0 pause_p99_ms=3.00 commit_p99_ms=2.00 p99_ms=9.00 p99_ratio=1.80 audit=ok"
        );
        assert!(outcome(Moving::default(), Vec::new()).figures().contains("pause_p99_ms=unknown"));
    }

    #[test]
    fn what_failed_is_lost_or_is_too_slow_is_not_right() {
        let lost = Finding::new(Breach::LostAcknowledgement, "ord_1 was acknowledged and is not there");
        for (rule, moving, findings, is_ok) in [
            ("all is well", good(), Vec::new(), true),
            ("not executed is none of it", Moving { turned_away: 3, ..good() }, Vec::new(), true),
            ("a failure", Moving { failed: 1, ..good() }, Vec::new(), false),
            ("an unknown outcome", Moving { unknown: 1, ..good() }, Vec::new(), false),
            ("a lost hold", good(), vec![lost], false),
            ("a long pause", Moving { pause_p99_ms: Some(11.0), ..good() }, Vec::new(), false),
            ("orders that waited", Moving { p99_ms: Some(11.0), ..good() }, Vec::new(), false),
            (
                "a generator that was late says nothing of that",
                Moving { p99_ms: Some(11.0), invalid: vec!["late".to_owned()], ..good() },
                Vec::new(),
                true,
            ),
        ] {
            let outcome = outcome(moving, findings);
            assert_eq!(outcome.is_ok(), is_ok, "{rule}: {}", outcome.text());
        }
    }
}
