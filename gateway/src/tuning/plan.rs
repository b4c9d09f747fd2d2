//! A plan: which values would be in force, checked as the settings are at a start, with what each change does.
//!
//! Pure: nothing is changed by planning. Invariant: what is wrong is named for each key, all of it at once.

use super::{Tuning, text, value};
use crate::settings::{Knob, SHARDS, Settings, knob, live_mistakes, range_of, replaced};
use crate::threads;
use holdfast_engine::ids::{Fingerprint, Label};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use toml::Value;

/// What a change is made to.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Read before the settings were: so they are those of this revision or newer ones.
    pub revision: u64,
    /// With the shards there are.
    pub settings: Settings,
    /// One for each partition.
    pub most_shards: usize,
    /// What the last change of a key says, where that is not in force.
    pub wanted: BTreeMap<&'static str, String>,
}

/// Changes that are asked for. Null: what file, variables and arguments say.
pub type Wanted = BTreeMap<String, Json>;

#[derive(Clone, Debug)]
pub struct Plan {
    pub id: String,
    /// The values in force that it is for.
    pub revision: u64,
    pub changes: Vec<Planned>,
    pub warnings: Vec<String>,
    /// All settings as they would be.
    pub settings: Settings,
}

/// One key.
#[derive(Clone, Debug)]
pub struct Planned {
    pub knob: &'static Knob,
    pub from: Value,
    pub to: Value,
    /// It goes back to what file, variables and arguments say.
    pub reset: bool,
}

impl Planned {
    /// The value is in force already: the change only says so.
    fn stays(&self) -> bool {
        self.from == self.to
    }
}

/// A key that cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub key: String,
    pub message: String,
}

impl Plan {
    /// As many shards as there are to be, where that is another number.
    pub fn shards(&self) -> Option<usize> {
        self.changes.iter().any(|change| change.knob.key == SHARDS && !change.stays()).then_some(self.settings.engine.shards)
    }
}

/// What would be so, from what is in force.
///
/// # Errors
/// Everything that is wrong with what is asked for.
pub fn plan(tuning: &Tuning, in_force: &InForce, wanted: &Wanted) -> Result<Plan, Vec<Refused>> {
    let InForce { revision, settings: current, most_shards, .. } = in_force;
    let (mut settings, mut refused, mut keys) = (current.clone(), Vec::new(), Vec::new());
    for (key, to) in wanted {
        match take(tuning, &settings, (key, to), *most_shards) {
            Ok((knob, next)) => {
                settings = next;
                keys.push((knob, to.is_null()));
            }
            Err(message) => refused.push(Refused { key: key.clone(), message }),
        }
    }
    refused.extend(live_mistakes(&settings).into_iter().map(|mistake| Refused { key: mistake.key, message: mistake.message }));
    if !refused.is_empty() {
        return Err(refused);
    }
    let changes: Vec<Planned> = keys.into_iter().filter_map(|key| planned(tuning, in_force, key, &settings)).collect();
    let id = format!("plan_{:032x}", Fingerprint::of(&(revision, names(&changes))).0);
    Ok(Plan { id, revision: *revision, warnings: warnings(tuning, in_force, &changes), changes, settings })
}

fn names(changes: &[Planned]) -> Vec<(&str, String, bool)> {
    changes.iter().map(|change| (change.knob.key, text(&change.to), change.reset)).collect()
}

fn take(
    tuning: &Tuning,
    settings: &Settings,
    (key, to): (&str, &Json),
    most_shards: usize,
) -> Result<(&'static Knob, Settings), String> {
    let knob = knob(key).ok_or_else(|| {
        let exists = value(settings, key).is_some();
        if exists { "can be changed by a restart only" } else { "is no setting" }
    })?;
    let to = if to.is_null() { untuned(tuning, key, most_shards) } else { Value::try_from(to).ok() };
    let is_right = |to: &Value| value(settings, key).is_some_and(|now| now.same_type(to));
    let to = to.filter(is_right).ok_or_else(|| rule(settings, key, most_shards))?;
    let written = text(&to);
    let replaced = replaced(settings, key, to).map_err(|_| rule(settings, key, most_shards))?;
    Label::new(&written).ok_or_else(Label::rule)?;
    if key == SHARDS && !(1..=most_shards).contains(&replaced.engine.shards) {
        return Err(format!("must be 1 to {most_shards}: a shard has a partition at least"));
    }
    Ok((knob, replaced))
}

/// What the value of a key must be, for whoever gave one that can be none.
fn rule(settings: &Settings, key: &str, most_shards: usize) -> String {
    let whole = |least, most| format!("must be a whole number from {least} to {most}");
    match (value(settings, key), range_of(settings, key)) {
        (Some(Value::Boolean(_)), _) => "must be true or false".to_owned(),
        (Some(Value::Integer(_)), _) if key == SHARDS => whole(1, most_shards as u64),
        (Some(Value::Integer(_)), Some(range)) => whole(*range.start(), *range.end()),
        _ if key == "payments.late_payment" => "must be rehold or refund".to_owned(),
        _ => "must be a text".to_owned(),
    }
}

/// What file, variables and arguments say, or the default. Shards that nobody says are as many as an engine starts with.
pub fn untuned(tuning: &Tuning, key: &str, most_shards: usize) -> Option<Value> {
    if key == SHARDS {
        let shards = threads::shards(tuning.base.engine.shards).min(most_shards);
        return Value::try_from(shards).ok();
    }
    value(&tuning.base, key)
}

/// A value that is in force is a change too where the last one wants another, or where going back takes one away: else neither ever ended.
fn planned(tuning: &Tuning, in_force: &InForce, (knob, reset): (&'static Knob, bool), settings: &Settings) -> Option<Planned> {
    let (from, to) = (value(&in_force.settings, knob.key)?, value(settings, knob.key)?);
    let ends_another = in_force.wanted.contains_key(knob.key) || reset && tuning.is_changed(knob.key);
    (from != to || ends_another).then_some(Planned { knob, from, to, reset })
}

/// Why something that is so already is planned.
fn ended(in_force: &InForce, planned: &Planned) -> String {
    let (key, value) = (planned.knob.key, text(&planned.from));
    let ends = in_force.wanted.get(key).map_or_else(
        || "the change that says so is taken away".to_owned(),
        |wanted| format!("the last change wants {wanted}, which is taken back"),
    );
    format!("{key} is {value} already: {ends}")
}

fn warnings(tuning: &Tuning, in_force: &InForce, changes: &[Planned]) -> Vec<String> {
    let ended = changes.iter().filter(|change| change.stays()).map(|change| ended(in_force, change));
    let wins = |origin: &&String| origin.starts_with("HOLDFAST__") || origin.starts_with("--");
    let outer = changes.iter().filter(|change| !change.reset).filter_map(|Planned { knob, .. }| {
        let origin = tuning.base_origins.get(knob.key).filter(wins)?;
        Some(format!("{origin} sets {} and wins at the next start: take it out there too", knob.key))
    });
    let paused = changes.iter().filter(|change| change.knob.key == "orders.accepting" && change.to == Value::Boolean(false));
    let paused =
        paused.map(|_| "new orders and reservations get 503 paused until it is true again, also after a restart".to_owned());
    let gone = (!tuning.is_kept() && !changes.is_empty())
        .then(|| "there is no data directory: the change ends with the process".to_owned());
    ended.chain(outer).chain(paused).chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Backend, Entry, KNOBS, Tuned};
    use serde_json::json;

    fn tuning(base: Settings, origins: &[(&str, &str)]) -> Tuning {
        let origins = origins.iter().map(|(key, origin)| ((*key).to_owned(), (*origin).to_owned())).collect();
        Tuning::new(Tuned { base, origins, ..Tuned::default() }, BTreeMap::new())
    }

    fn in_force(settings: Settings) -> InForce {
        InForce { revision: 0, settings, most_shards: 8, wanted: BTreeMap::new() }
    }

    fn of(tuning: &Tuning, changes: Json) -> Result<Plan, Vec<Refused>> {
        plan(tuning, &in_force(tuning.base.clone()), &serde_json::from_value(changes).unwrap())
    }

    #[test]
    fn a_plan_says_for_each_key_what_it_was_and_what_it_becomes_and_leaves_out_what_stays() {
        let tuning = tuning(Settings::default(), &[]);
        let plan = of(&tuning, json!({"engine.credits": 9, "log.level": "debug", "orders.accepting": true})).unwrap();
        let shown: Vec<_> = plan.changes.iter().map(|change| (change.knob.key, text(&change.from), text(&change.to))).collect();
        let row = |key, from: &str, to: &str| (key, from.to_owned(), to.to_owned());
        assert_eq!(shown, [row("engine.credits", "32768", "9"), row("log.level", "info", "debug")]);
        assert_eq!((plan.settings.engine.credits, plan.settings.log.level.as_str()), (9, "debug"));
        assert!(plan.warnings.is_empty());
        assert_eq!(
            of(&tuning, json!({"engine.credits": 9, "log.level": "debug"})).unwrap().id,
            plan.id,
            "the same plan has one id"
        );
        assert_ne!(of(&tuning, json!({"engine.credits": 10, "log.level": "debug"})).unwrap().id, plan.id);
    }

    #[test]
    fn what_cannot_be_so_is_named_for_each_key() {
        let tuning = tuning(Settings::default(), &[]);
        for (changes, expected) in [
            (json!({"engine.credits": 0}), vec![("engine.credits", "must be 1 to 10000000")]),
            (json!({"engine.shard": 2}), vec![("engine.shard", "is no setting")]),
            (json!({"server.listen": "x"}), vec![("server.listen", "can be changed by a restart only")]),
            (json!({"engine": {"credits": 1}}), vec![("engine", "can be changed by a restart only")]),
            (
                json!({"log.level": "loud", "orders.ttl_seconds": 90_000}),
                vec![
                    ("orders.ttl_seconds", "must not be more than orders.ttl_max_seconds, which is 86400"),
                    ("orders.ttl_seconds", "must be 1 to 86400"),
                    ("log.level", "\"loud\" is neither error, warn, info, debug or trace nor MODULE=LEVEL"),
                ],
            ),
            (
                json!({"orders.ttl_max_seconds": 60}),
                vec![("orders.ttl_seconds", "must not be more than orders.ttl_max_seconds, which is 60")],
            ),
        ] {
            let refused = of(&tuning, changes.clone()).unwrap_err();
            let refused: Vec<_> = refused.iter().map(|refused| (refused.key.as_str(), refused.message.as_str())).collect();
            assert_eq!(refused, expected, "{changes}");
        }
    }

    /// Types of the program were named instead.
    #[test]
    fn a_value_that_can_be_none_of_its_setting_is_answered_with_what_it_must_be() {
        let tuning = tuning(Settings::default(), &[]);
        let texts = [json!("off"), json!(""), json!({"a": 1}), json!([1]), json!(1.5)];
        for (key, others, rule) in [
            ("orders.accepting", vec![json!(0)], "must be true or false"),
            ("engine.credits", vec![json!(true), json!(-1), json!(u64::MAX)], "must be a whole number from 1 to 10000000"),
            (SHARDS, vec![json!(-1)], "must be a whole number from 1 to 8"),
            ("holds.max_extensions", vec![json!(1_u64 << 40)], "must be a whole number from 0 to 10000"),
            ("payments.late_payment", vec![json!(1)], "must be rehold or refund"),
        ] {
            for to in others.into_iter().chain(texts.clone()) {
                let refused = of(&tuning, json!({(key): to})).unwrap_err();
                assert_eq!(refused, [Refused { key: key.to_owned(), message: rule.to_owned() }], "{to}");
            }
        }
        let refused = of(&tuning, json!({"log.level": 3})).unwrap_err();
        assert_eq!(refused[0].message, "must be a text");
    }

    #[test]
    fn every_number_that_can_be_changed_has_its_range_told() {
        let settings = Settings::default();
        for knob in &KNOBS {
            let is_number = value(&settings, knob.key).is_some_and(|value| value.is_integer());
            assert_eq!(rule(&settings, knob.key, 8).contains("whole number"), is_number, "{}", knob.key);
        }
    }

    /// No node takes a row of that size: every order of its shard would be of unknown outcome.
    #[test]
    fn a_batch_is_not_made_larger_than_a_row_of_a_cluster() {
        let mut on_cluster = Settings::default();
        on_cluster.journal.backend = Backend::Scylla;
        for (base, most) in [(Settings::default(), 65_536), (on_cluster, 1024)] {
            let tuning = tuning(base, &[]);
            assert!(of(&tuning, json!({"engine.batch_kb": most})).is_ok());
            let refused = of(&tuning, json!({"engine.batch_kb": most + 1})).unwrap_err();
            assert_eq!(refused[0].key, "engine.batch_kb", "{refused:?}");
        }
    }

    #[test]
    fn null_goes_back_to_what_is_there_without_the_change() {
        let tuning = tuning(Settings::default(), &[]);
        let tuned = of(&tuning, json!({"engine.credits": 9})).unwrap().settings;
        let back = plan(&tuning, &in_force(tuned), &BTreeMap::from([("engine.credits".to_owned(), Json::Null)])).unwrap();
        assert_eq!((back.settings.engine.credits, back.changes[0].reset), (32_768, true));
    }

    /// It was not planned, so that a change that never came into force was wanted for ever.
    #[test]
    fn what_is_in_force_is_planned_where_the_last_change_wants_another_and_shards_stay() {
        let mut base = Settings::default();
        base.engine.shards = 2;
        let tuning = tuning(base, &[]);
        for (key, value, wanted) in
            [("orders.ttl_max_seconds", 86_400, "5000"), ("engine.credits", 32_768, "9"), (SHARDS, 2, "8")]
        {
            for to in [json!(value), Json::Null] {
                let changes = BTreeMap::from([(key.to_owned(), to.clone())]);
                let (settled, mut unsettled) = (in_force(tuning.base.clone()), in_force(tuning.base.clone()));
                assert!(plan(&tuning, &settled, &changes).unwrap().changes.is_empty(), "{key} is so already");
                unsettled.wanted.insert(key, wanted.to_owned());
                let plan = plan(&tuning, &unsettled, &changes).unwrap();
                assert_eq!((plan.changes[0].to.as_integer(), plan.changes[0].reset), (Some(value), to.is_null()), "{key}");
                assert_eq!(
                    plan.warnings,
                    [format!("{key} is {value} already: the last change wants {wanted}, which is taken back")]
                );
                assert_eq!(plan.shards(), None, "no partition moves for it");
            }
        }
    }

    #[test]
    fn going_back_takes_a_change_away_that_says_what_the_file_says() {
        let entry = Entry { key: "engine.credits".to_owned(), value: 32_768.into(), number: 1, who: None, at: String::new() };
        let tuning = Tuning::new(Tuned { entries: vec![entry], ..Tuned::default() }, BTreeMap::new());
        let back = of(&tuning, json!({"engine.credits": null, "engine.batch_kb": null})).unwrap();
        assert_eq!(
            back.changes.iter().map(|change| (change.knob.key, change.reset)).collect::<Vec<_>>(),
            [("engine.credits", true)]
        );
        assert!(of(&tuning, json!({"engine.credits": 32_768})).unwrap().changes.is_empty());
    }

    #[test]
    fn there_is_a_shard_at_least_and_one_for_each_partition_at_most() {
        let tuning = tuning(Settings::default(), &[]);
        for shards in [0, 9, 1_000_000] {
            let refused = of(&tuning, json!({"engine.shards": shards})).unwrap_err();
            let expected =
                Refused { key: SHARDS.to_owned(), message: "must be 1 to 8: a shard has a partition at least".to_owned() };
            assert_eq!(refused, [expected], "{shards}");
        }
        assert_eq!(of(&tuning, json!({"engine.shards": 8})).unwrap().shards(), Some(8));
        assert_eq!(of(&tuning, json!({"engine.credits": 8})).unwrap().shards(), None);
    }

    #[test]
    fn shards_that_nobody_says_are_as_many_as_an_engine_starts_with() {
        let tuning = tuning(Settings::default(), &[]);
        let mut many = Settings::default();
        many.engine.shards = 8;
        let back = plan(&tuning, &in_force(many), &BTreeMap::from([(SHARDS.to_owned(), Json::Null)])).unwrap();
        assert_eq!(back.settings.engine.shards, threads::shards(0).min(8));
    }

    #[test]
    fn a_plan_warns_of_what_wins_at_the_next_start() {
        let origins = [("engine.credits", "HOLDFAST__ENGINE__CREDITS"), ("log.level", "holdfast.toml:3")];
        let tuning = tuning(Settings::default(), &origins);
        let warnings =
            of(&tuning, json!({"engine.credits": 9, "log.level": "debug", "orders.accepting": false})).unwrap().warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("HOLDFAST__ENGINE__CREDITS sets engine.credits"), "{warnings:?}");
    }
}
