//! What plans are made from: the values in force, and where partitions are.
//!
//! Invariant: the number of shards in force is that of the engine, whatever was wanted of it: one that could not be reached is wanted again.

use super::super::live;
use super::super::placement::refusal;
use super::recorded;
use crate::http::problem::Problem;
use crate::settings::{Settings, knob};
use crate::state::App;
use crate::tuning::plan::{self, InForce, Plan, Refused, Wanted, untuned};
use crate::tuning::{text, value};
use holdfast_actors::placement::handover::Move;
use holdfast_engine::event::Changed;
use holdfast_engine::limits;
use std::collections::BTreeMap;

/// The values in force, with what is wanted beside them. Where the journal does not answer that is nothing: nothing can be changed then either.
async fn in_force(app: &App) -> InForce {
    let values = values(app);
    let changes = recorded(app, None, limits::MAX_CHANGES).await.unwrap_or_default();
    InForce { wanted: wanted(app, &values, &changes), ..values }
}

/// A plan of what is asked for. The journal is read only where something of it is so already: a read is load, and moves are by load.
///
/// # Errors
/// Everything that is wrong with what is asked for.
pub(in crate::http::routes) async fn plan(app: &App, asked: &Wanted) -> Result<Plan, Vec<Refused>> {
    let planned = plan::plan(&app.tuning, &values(app), asked)?;
    if planned.changes.len() == asked.len() { Ok(planned) } else { plan::plan(&app.tuning, &in_force(app).await, asked) }
}

/// What the newest change of each key says, where that is not in force.
pub(super) fn wanted(app: &App, in_force: &InForce, changes: &[Changed]) -> BTreeMap<&'static str, String> {
    let mut last = BTreeMap::new();
    for Changed { change, .. } in changes {
        if let Some(knob) = knob(change.what.as_str()) {
            last.entry(knob.key).or_insert(change.after.as_ref());
        }
    }
    let base = |key| untuned(&app.tuning, key, in_force.most_shards).map(|base| text(&base));
    let is_other = |key, wanted: &String| value(&in_force.settings, key).is_none_or(|value| text(&value) != *wanted);
    let wanted = last
        .into_iter()
        .filter_map(|(key, after)| Some((key, after.map_or_else(|| base(key), |after| Some(after.to_string()))?)));
    wanted.filter(|(key, wanted)| is_other(key, wanted)).collect()
}

/// The values in force alone.
pub(in crate::http::routes) fn values(app: &App) -> InForce {
    let revision = app.tuning.revision();
    let mut settings = Settings::clone(&app.tuned.load());
    let mut most_shards = limits::MAX_PARTITIONS.into();
    if let Some(live) = &*app.live.load() {
        settings.engine.shards = live.handle.shards();
        most_shards = live.handle.router().partitions.count().into();
    }
    InForce { revision, settings, most_shards, wanted: BTreeMap::new() }
}

/// The moves that a plan takes, were it carried out now.
///
/// # Errors
/// If it takes some and there is no engine.
pub(in crate::http::routes) async fn moves(app: &App, plan: &Plan) -> Result<Vec<Move>, Problem> {
    let Some(shards) = plan.shards() else { return Ok(Vec::new()) };
    let handle = live(app)?.handle.clone();
    handle.plan_reshard(shards).await.map_err(|refused| refusal(refused, ""))
}

/// How long orders for a partition that moves would wait now, in milliseconds. `None` if nothing moves, or nothing was seen yet.
pub(in crate::http::routes) fn pause_estimate_ms(app: &App, moves: usize) -> Option<f64> {
    let last = app.frames.last().filter(|_| moves > 0)?;
    Some(last.pause_estimate_ms())
}
