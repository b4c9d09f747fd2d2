//! Where partitions are to be, while orders come.
//!
//! Invariant: what was asked for is an operation whose end can be read; there is one at a time.

use super::ids::nothing;
use super::live;
use super::resource::resource;
use super::trail::{self, Begun};
use crate::http::body::Body;
use crate::http::body::json::json;
use crate::http::caller::Caller;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::reply::unavailable;
use crate::http::request::MoveIn;
use crate::state::App;
use actix_web::http::Method;
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use holdfast_actors::placement::operations::{Goal, Operation, Refused, State};
use holdfast_engine::ids::{KeyName, PartitionId, RequestId};
use serde::Serialize;
use utoipa::ToSchema;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/admin/v1/partitions/{id}:move").on(Method::POST, move_partition))
        .service(resource("/admin/v1/operations/{id}").on(Method::GET, operation));
}

/// Something that was asked of the running server, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationBody {
    /// Counts the operations of the running engine from 1. It is forgotten with the process.
    #[schema(example = "1")]
    id: String,
    kind: OperationKind,
    state: OperationState,
    /// Why it failed.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Partitions that are to go to another shard.
    moves: usize,
    /// Those of them that have come there.
    moved: usize,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OperationKind {
    Reshard,
    MovePartition,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OperationState {
    Running,
    Done,
    Failed,
}

impl From<Operation> for OperationBody {
    fn from(Operation { id, goal, state, moves, moved }: Operation) -> Self {
        let kind = match goal {
            Goal::Shards(_) => OperationKind::Reshard,
            Goal::Partition(_) => OperationKind::MovePartition,
        };
        let (state, reason) = match state {
            State::Running => (OperationState::Running, None),
            State::Done => (OperationState::Done, None),
            State::Failed(reason) => (OperationState::Failed, Some(reason)),
        };
        Self { id: id.to_string(), kind, state, reason, moves, moved }
    }
}

/// Move a partition to a shard while orders come. It stays there when others are levelled, until this server stops.
///
/// No request fails for it: those for this partition wait a few milliseconds.
#[utoipa::path(post, path = "/admin/v1/partitions/{id}:move", tag = "admin", operation_id = "move_partition", request_body = MoveIn,
    params(("id" = u16, Path, example = 3, description = "Its number, as `/admin/v1/shards` shows it")),
    responses((status = 202, description = "It has begun.", body = OperationBody)))]
pub async fn move_partition(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let live = live(&app)?;
    let MoveIn { shard } = json(&request, body)?;
    let partition = id.parse::<u16>().map(PartitionId).map_err(|_| nothing(&id))?;
    let shard = usize::try_from(shard).unwrap_or(usize::MAX);
    let operation = live.handle.move_partition(partition, shard).map_err(|refused| refusal(refused, &id))?;
    record(&app, (caller.client, caller.request_id), partition, shard, operation.id).await;
    Ok(HttpResponse::Accepted().json(OperationBody::from(operation)))
}

/// Puts a move that has begun into the trail.
pub async fn record(app: &App, who: (Option<KeyName>, RequestId), partition: PartitionId, shard: usize, operation: u64) {
    let after = format!("partition {} to shard {shard}, operation {operation}", partition.0);
    trail::record(app, who, Begun { what: "partition.move", after: Some(&after) }).await;
}

/// Why an operation does not begin.
pub fn refusal(refused: Refused, id: &str) -> Problem {
    match refused {
        Refused::Running(_) => Problem::new(Code::OperationRunning, refused.to_string()),
        Refused::Shards(_) | Refused::Shard(_) => Problem::invalid(vec![FieldError::new("/shard", refused.to_string())]),
        Refused::Partition => nothing(id),
        Refused::Stopping => unavailable(),
    }
}

/// How far an operation is.
#[utoipa::path(get, path = "/admin/v1/operations/{id}", tag = "admin", operation_id = "get_operation",
    params(("id" = String, Path, example = "1")),
    responses((status = 200, description = "The operation.", body = OperationBody)))]
pub async fn operation(app: Data<App>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let handle = live(&app)?.handle.clone();
    let found = id.parse().ok().and_then(|number| handle.operations().get(number)).ok_or_else(|| nothing(&id))?;
    Ok(HttpResponse::Ok().json(OperationBody::from(found)))
}
