//! The connections: one session for what must not wait, one for everything else.
//!
//! Invariant: the driver never repeats a statement of the fence: it makes no retry, no speculative execution and no timestamp for
//! it, and whoever sent the statement resolves an unknown outcome. Idempotent statements are repeated until they are answered.

use super::errors::{failed, in_time};
use super::options::Options;
use super::schema;
use super::statements::{Layout, Leases, Preparer, Segments, Tables};
use crate::backoff::Backoff;
use crate::contract::Error;
use futures_util::try_join;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{DbError, ExecutionError, MetadataError, NewSessionError, RequestAttemptError};
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tries to make the tables: while a new cluster settles its schema, statements fail for a moment.
const SCHEMA_TRIES: u32 = 5;
const SCHEMA_PAUSES: Backoff = Backoff::even(Duration::from_millis(500));

/// How long an idempotent statement is repeated, and the pauses between.
const STEADY: Duration = Duration::from_secs(8);
const PAUSES: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(1));
/// After so long without an answer another node is asked as well: one that hangs is noticed only later.
const SECOND_OPINION: Duration = Duration::from_secs(1);
/// How often an idle connection is tried, so that a node that hangs is left out before long.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Cluster {
    /// Appends, claims and leases.
    pub(super) fence: Session,
    /// Reads, snapshots and projections: however many, no append waits behind them.
    bulk: Session,
    pub(super) leases: Leases,
    pub(super) segments: Segments,
    pub(super) tables: Tables,
    pub(super) layout: Layout,
}

impl Cluster {
    pub(super) async fn connect(options: &Options) -> Result<Self, Error> {
        let fence = session(options, fence_profile(options)).await?;
        create_tables(&fence, options).await?;
        let bulk = session(options, bulk_profile(options)).await?;
        let preparer = Preparer { fence: &fence, bulk: &bulk, options };
        let (leases, segments, tables, layout) =
            try_join!(preparer.leases(), preparer.segments(), preparer.tables(), preparer.layout())?;
        Ok(Self { leases, segments, tables, layout, fence, bulk })
    }
}

impl Cluster {
    /// Executes a statement without a condition.
    pub(super) async fn plain(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<QueryResult, Error> {
        steady(&self.bulk, statement, &values).await
    }

    /// Executes a serial read, or a conditional update that leaves the same however often it is applied.
    pub(super) async fn serial(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<QueryResult, Error> {
        steady(&self.fence, statement, &values).await
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(super) async fn drop_keyspace(&self, keyspace: &str) -> Result<(), Error> {
        let dropped = self.fence.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await;
        dropped.map(drop).map_err(|error| failed(&error))
    }
}

/// Repeats an idempotent statement until there is an answer: a node may be away for a while, or its answer may be lost.
async fn steady(session: &Session, statement: &PreparedStatement, values: &impl SerializeRow) -> Result<QueryResult, Error> {
    let (begun, mut pauses) = (Instant::now(), PAUSES);
    loop {
        match session.execute_unpaged(statement, values).await {
            Ok(result) => return Ok(result),
            Err(error) if is_final(&error) => return Err(failed(&error)),
            Err(error) if begun.elapsed() >= STEADY => {
                return Err(Error::Unreachable(format!("the cluster does not answer: {error}")));
            }
            Err(_) => tokio::time::sleep(pauses.next_pause()).await,
        }
    }
}

fn fence_profile(options: &Options) -> ExecutionProfile {
    ExecutionProfile::builder()
        .consistency(options.consistency.plain())
        .serial_consistency(Some(options.consistency.serial()))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .request_timeout(Some(options.timeout))
        .build()
}

fn bulk_profile(options: &Options) -> ExecutionProfile {
    let second_opinion = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: SECOND_OPINION };
    ExecutionProfile::builder()
        .consistency(options.consistency.plain())
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .speculative_execution_policy(Some(Arc::new(second_opinion)))
        .request_timeout(Some(options.timeout))
        .build()
}

async fn session(options: &Options, profile: ExecutionProfile) -> Result<Session, Error> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(options.timeout)
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(options.timeout);
    if !options.local_dc.is_empty() {
        builder = builder.prefer_datacenter(options.local_dc.clone());
    }
    if let Some(credentials) = &options.credentials {
        builder = builder.user(&credentials.user, &credentials.password);
    }
    #[cfg(feature = "scylla-tls")]
    if let Some(tls) = &options.tls {
        builder = builder.tls_context(Some(super::tls::context(tls)?));
    }
    let built = in_time(options, "the session", builder.build()).await?;
    built.map_err(|error| refused(options, &error))
}

/// Says what to do about a session that could not be opened.
fn refused(options: &Options, error: &NewSessionError) -> Error {
    let nodes = options.nodes.join(", ");
    let text = error.to_string();
    let advice = match error {
        NewSessionError::FailedToResolveAnyHostname(_) | NewSessionError::EmptyKnownNodesList => {
            "name nodes as host:port in [scylla] nodes"
        }
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(_)) if text.to_lowercase().contains("authentic") => {
            "set [scylla] user and password_file"
        }
        _ => "check that the cluster runs and that [scylla] nodes, user and password_file are right",
    };
    Error::Unreachable(format!("the cluster at {nodes} cannot be reached: {text}; {advice}"))
}

async fn create_tables(session: &Session, options: &Options) -> Result<(), Error> {
    if all_tables(session, options).await {
        return Ok(());
    }
    for statement in schema::statements(options) {
        let (mut tries, mut pauses) = (1, SCHEMA_PAUSES);
        while let Err(error) = session.query_unpaged(statement.as_str(), ()).await {
            if tries == SCHEMA_TRIES || is_final(&error) {
                return Err(Error::Unreachable(format!(
                    "keyspace {} cannot be made ready: {error}; `holdfast schema cql` prints what is needed, for whoever may run it",
                    options.keyspace
                )));
            }
            tries += 1;
            tokio::time::sleep(pauses.next_pause()).await;
        }
    }
    in_time(options, "the tables", session.await_schema_agreement())
        .await?
        .map(drop)
        .map_err(|error| Error::Unreachable(error.to_string()))
}

/// Whether there is nothing to make. A cluster settles even a change that changes nothing, which takes its time.
async fn all_tables(session: &Session, options: &Options) -> bool {
    let asked = session.query_unpaged(schema::NAMES, (&options.keyspace,)).await;
    let Ok(Ok(rows)) = asked.map(QueryResult::into_rows_result) else { return false };
    let Ok(names) = rows.rows::<(String,)>() else { return false };
    let names: Vec<String> = names.flatten().map(|(name,)| name).collect();
    schema::tables().all(|table| names.iter().any(|name| name == table))
}

/// Whether trying again cannot help.
fn is_final(error: &ExecutionError) -> bool {
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) = error else { return false };
    matches!(error, DbError::Unauthorized | DbError::SyntaxError | DbError::ConfigError | DbError::AuthenticationError)
}
