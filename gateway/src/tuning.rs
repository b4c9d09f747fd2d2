//! Knobs of a running server: what is in force, and what was planned. `http::routes::tuning` carries plans out.
//!
//! Invariants: what is in force is what was journalled, written beside the data and then turned, in this order, one plan at a time; a plan
//! is carried out on the values it was made for, or not at all.

pub mod plan;

use crate::settings::{Entry, Settings, Tuned};
use plan::Plan;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use toml::Value;

/// Plans that are remembered: the oldest makes room.
const MOST_PLANS: usize = 64;

/// What the settings are made of.
pub struct Tuning {
    /// Without what operators changed.
    pub base: Settings,
    /// `section.key` → where the value of `base` comes from, where it is no default.
    pub base_origins: BTreeMap<String, String>,
    /// Where changes are written. None: nowhere, they end with the process.
    pub dir: Option<PathBuf>,
    state: Mutex<State>,
    /// One plan is carried out at a time.
    pub turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Counts what was carried out.
    revision: u64,
    /// Of the values in force.
    origins: BTreeMap<String, String>,
    entries: Vec<Entry>,
    plans: VecDeque<Plan>,
}

impl Tuning {
    /// `origins` are those of the values in force.
    pub fn new(tuned: Tuned, origins: BTreeMap<String, String>) -> Self {
        let Tuned { entries, base, origins: base_origins } = tuned;
        let dir = (!base.data.ephemeral).then(|| base.data.dir.clone());
        let state = Mutex::new(State { origins, entries, ..State::default() });
        Self { base, base_origins, dir, state, turn: tokio::sync::Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was carried out: a plan is for one of these.
    pub fn revision(&self) -> u64 {
        self.state().revision
    }

    /// Whether changes are there after the next start.
    pub fn is_kept(&self) -> bool {
        self.dir.is_some()
    }

    /// Where the value of a key comes from that is in force.
    pub fn origin(&self, key: &str) -> String {
        self.state().origins.get(key).cloned().unwrap_or_else(|| "default".to_owned())
    }

    pub fn remember(&self, plan: Plan) {
        let mut state = self.state();
        state.plans.retain(|known| known.id != plan.id);
        if state.plans.len() >= MOST_PLANS {
            state.plans.pop_front();
        }
        state.plans.push_back(plan);
    }

    /// A plan that was made for the values in force.
    pub fn plan(&self, id: &str) -> Option<Plan> {
        let state = self.state();
        state.plans.iter().find(|plan| plan.id == id && plan.revision == state.revision).cloned()
    }

    /// Whether a change of this key is kept.
    pub fn is_changed(&self, key: &str) -> bool {
        self.state().entries.iter().any(|entry| entry.key == key)
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    /// A plan was carried out: those made before it are of other values.
    pub fn carried_out(&self, plan: &Plan, entries: Vec<Entry>) {
        let named = if self.is_kept() { Entry::origin } else { Entry::change };
        let mut state = self.state();
        for key in plan.changes.iter().map(|change| change.knob.key) {
            let entry = entries.iter().find(|entry| entry.key == key).map(named);
            match entry.or_else(|| self.base_origins.get(key).cloned()) {
                Some(origin) => drop(state.origins.insert(key.to_owned(), origin)),
                None => drop(state.origins.remove(key)),
            }
        }
        state.entries = entries;
        state.revision += 1;
        state.plans.clear();
    }
}

/// The value of a key, which is one of the settings.
pub fn value(settings: &Settings, key: &str) -> Option<Value> {
    let all = Value::try_from(settings).ok()?;
    key.split('.').try_fold(all, |section, name| section.get(name).cloned())
}

/// A value as the journal names it: a text as it is, anything else as TOML has it.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::plan::{InForce, plan};

    /// A file was named that is nowhere.
    #[test]
    fn where_a_change_is_kept_nowhere_no_file_is_its_origin() {
        for (ephemeral, origin) in [(true, "change 7 by ada, now"), (false, "tuning.toml: change 7 by ada, now")] {
            let mut base = Settings::default();
            base.data.ephemeral = ephemeral;
            let in_force = InForce { revision: 0, settings: base.clone(), most_shards: 1, wanted: BTreeMap::new() };
            let tuning = Tuning::new(Tuned { base, ..Tuned::default() }, BTreeMap::new());
            let plan = plan(&tuning, &in_force, &BTreeMap::from([("engine.credits".to_owned(), 9.into())])).unwrap();
            let (who, at) = (Some("ada".to_owned()), "now".to_owned());
            let entry = Entry { key: "engine.credits".to_owned(), value: 9.into(), number: 7, who, at };
            tuning.carried_out(&plan, vec![entry]);
            assert_eq!(tuning.origin("engine.credits"), origin);
        }
    }
}
