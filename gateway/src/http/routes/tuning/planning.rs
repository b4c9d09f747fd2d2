//! What plans are made from: the values in force, and where partitions are.
//!
//! Invariant: the number of shards in force is that of the engine, whatever was wanted of it: one that could not be reached is wanted again.

use super::super::live;
use super::super::placement::refusal;
use crate::http::problem::Problem;
use crate::settings::Settings;
use crate::state::App;
use crate::tuning::plan::{InForce, Plan};
use holdfast_actors::placement::handover::Move;
use holdfast_engine::limits;

/// The values in force.
pub(in crate::http::routes) fn in_force(app: &App) -> InForce {
    let revision = app.tuning.revision();
    let mut settings = Settings::clone(&app.tuned.load());
    let mut most_shards = limits::MAX_PARTITIONS.into();
    if let Some(live) = &*app.live.load() {
        settings.engine.shards = live.handle.shards();
        most_shards = live.handle.router().partitions.count().into();
    }
    InForce { revision, settings, most_shards }
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
