//! The connections: one session for what must not wait, one for everything else, and the statements prepared on each.
//!
//! Invariant: no statement of the fence is ever repeated by the driver. It retries nothing, speculates on nothing and
//! stamps nothing; an unknown outcome is ours to resolve. What gives the same however often it is carried out is repeated.

use super::log::failed;
use super::options::Options;
use super::schema;
use crate::journal::Error;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{DbError, ExecutionError, MetadataError, NewSessionError, PrepareError, RequestAttemptError};
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tries to make the tables: while a new cluster settles its schema, statements fail for a moment.
const SCHEMA_TRIES: u32 = 5;
const SCHEMA_PAUSE: Duration = Duration::from_millis(500);

/// How long a statement that may be repeated is repeated, and the pauses between.
const STEADY: Duration = Duration::from_secs(8);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
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
    pub(super) read_lease: PreparedStatement,
    pub(super) create_lease: PreparedStatement,
    pub(super) bid: PreparedStatement,
    pub(super) hint: PreparedStatement,
    pub(super) release: PreparedStatement,
    pub(super) keep: PreparedStatement,
    pub(super) point: PreparedStatement,
    pub(super) read_head: PreparedStatement,
    pub(super) seize: PreparedStatement,
    pub(super) open: PreparedStatement,
    pub(super) append: PreparedStatement,
    pub(super) close: PreparedStatement,
    pub(super) read_rows: PreparedStatement,
    pub(super) closed_at: PreparedStatement,
    pub(super) purge: PreparedStatement,
    pub(super) put_chunk: PreparedStatement,
    pub(super) read_chunks: PreparedStatement,
    pub(super) drop_chunks: PreparedStatement,
    pub(super) put_row: PreparedStatement,
    pub(super) get_row: PreparedStatement,
    pub(super) scan_rows: PreparedStatement,
    pub(super) read_layout: PreparedStatement,
    pub(super) create_layout: PreparedStatement,
}

impl Cluster {
    pub(super) async fn connect(options: &Options) -> Result<Self, Error> {
        let fence = session(options, fence_profile(options)).await?;
        create_tables(&fence, options).await?;
        let bulk = session(options, bulk_profile(options)).await?;
        let keyspace = &options.keyspace;
        let (lease, journal) = (format!("{keyspace}.partition_lease"), format!("{keyspace}.journal"));
        let (chunk, row, layout) =
            (format!("{keyspace}.snap_chunk"), format!("{keyspace}.projection"), format!("{keyspace}.layout"));
        let segment = "WHERE partition_id = ? AND seg = ?";
        let fenced = async |cql: String| prepare(&fence, cql).await;
        let serial = async |cql: String| {
            let mut statement = prepare(&fence, cql).await?;
            statement.set_consistency(options.consistency.serial_read());
            Ok::<_, Error>(statement)
        };
        // Every one of these gives the same rows however often it is run.
        let plain = async |cql: String| {
            let mut statement = prepare(&bulk, cql).await?;
            statement.set_is_idempotent(true);
            Ok::<_, Error>(statement)
        };
        Ok(Self {
            read_lease: serial(format!(
                "SELECT epoch, owner, seg_hint, kept_seg, snap_id, prev_snap_id FROM {lease} WHERE partition_id = ?"
            ))
            .await?,
            create_lease: fenced(format!(
                "INSERT INTO {lease} (partition_id, epoch, owner, addr, seg_hint) VALUES (?, 1, ?, ?, 0) IF NOT EXISTS"
            ))
            .await?,
            bid: fenced(format!("UPDATE {lease} SET epoch = ?, owner = ?, addr = ? WHERE partition_id = ? IF epoch = ?")).await?,
            hint: fenced(format!("UPDATE {lease} SET seg_hint = ? WHERE partition_id = ? IF epoch = ?")).await?,
            release: fenced(format!("UPDATE {lease} SET owner = null, addr = null WHERE partition_id = ? IF epoch = ?")).await?,
            keep: fenced(format!("UPDATE {lease} SET kept_seg = ? WHERE partition_id = ? IF epoch = ?")).await?,
            point: fenced(format!(
                "UPDATE {lease} SET snap_id = ?, prev_snap_id = ? WHERE partition_id = ? IF epoch = ? AND snap_id = ?"
            ))
            .await?,
            read_head: serial(format!("SELECT epoch, next, closed FROM {journal} {segment} LIMIT 1")).await?,
            seize: fenced(format!("UPDATE {journal} SET epoch = ? {segment} IF epoch = ?")).await?,
            open: fenced(format!(
                "INSERT INTO {journal} (partition_id, seg, epoch, next, closed) VALUES (?, ?, ?, ?, false) IF NOT EXISTS"
            ))
            .await?,
            append: fenced(format!(
                "UPDATE {journal} SET next = ?, events = ?, body = ? {segment} AND seq = ? \
                 IF epoch = ? AND next = ? AND closed = false"
            ))
            .await?,
            close: fenced(format!("UPDATE {journal} SET closed = true {segment} IF epoch = ? AND next = ? AND closed = false"))
                .await?,
            read_rows: plain(format!("SELECT seq, body FROM {journal} {segment} AND seq >= ? AND seq < ?")).await?,
            closed_at: plain(format!("SELECT WRITETIME(closed) FROM {journal} {segment} LIMIT 1")).await?,
            purge: plain(format!("DELETE FROM {journal} USING TIMESTAMP ? {segment} AND seq >= ? AND seq < ?")).await?,
            put_chunk: plain(format!("INSERT INTO {chunk} (partition_id, snap_id, part, n, body) VALUES (?, ?, ?, ?, ?)"))
                .await?,
            read_chunks: plain(format!("SELECT n, body FROM {chunk} WHERE partition_id = ? AND snap_id = ? AND part = ?"))
                .await?,
            drop_chunks: plain(format!("DELETE FROM {chunk} WHERE partition_id = ? AND snap_id = ? AND part = ?")).await?,
            put_row: plain(format!("INSERT INTO {row} (kind, grp, key, value) VALUES (?, ?, ?, ?) USING TIMESTAMP ?")).await?,
            get_row: plain(format!("SELECT value FROM {row} WHERE kind = ? AND grp = ? AND key = ?")).await?,
            scan_rows: plain(format!("SELECT key, value FROM {row} WHERE kind = ? AND grp = ? AND key >= ? AND key < ? LIMIT ?"))
                .await?,
            read_layout: serial(format!("SELECT version, partitions FROM {layout} WHERE id = 0")).await?,
            create_layout: fenced(format!("INSERT INTO {layout} (id, version, partitions) VALUES (0, ?, ?) IF NOT EXISTS"))
                .await?,
            fence,
            bulk,
        })
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

/// Tries until there is an answer: a node may be away for a while, or its answer be lost.
async fn steady(session: &Session, statement: &PreparedStatement, values: &impl SerializeRow) -> Result<QueryResult, Error> {
    let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        match session.execute_unpaged(statement, values).await {
            Ok(result) => return Ok(result),
            Err(error) if begun.elapsed() >= STEADY || is_final(&error) => return Err(failed(&error)),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn fence_profile(options: &Options) -> ExecutionProfile {
    ExecutionProfile::builder()
        .consistency(options.consistency.plain())
        .serial_consistency(Some(options.consistency.serial()))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .request_timeout(Some(options.patience))
        .build()
}

fn bulk_profile(options: &Options) -> ExecutionProfile {
    let second_opinion = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: SECOND_OPINION };
    ExecutionProfile::builder()
        .consistency(options.consistency.plain())
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .speculative_execution_policy(Some(Arc::new(second_opinion)))
        .request_timeout(Some(options.patience))
        .build()
}

async fn session(options: &Options, profile: ExecutionProfile) -> Result<Session, Error> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(options.patience)
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(options.patience);
    if !options.local_dc.is_empty() {
        builder = builder.prefer_datacenter(options.local_dc.clone());
    }
    if let Some(credentials) = &options.credentials {
        builder = builder.user(&credentials.user, &credentials.password);
    }
    builder.build().await.map_err(|error| refused(options, &error))
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
    for statement in schema::statements(options) {
        let mut tries = 1;
        while let Err(error) = session.query_unpaged(statement.as_str(), ()).await {
            if tries == SCHEMA_TRIES || is_final(&error) {
                return Err(Error::Unreachable(format!(
                    "keyspace {} cannot be made ready: {error}; `holdfast schema cql` prints what is needed, for whoever may run it",
                    options.keyspace
                )));
            }
            tries += 1;
            tokio::time::sleep(SCHEMA_PAUSE).await;
        }
    }
    session.await_schema_agreement().await.map(drop).map_err(|error| Error::Unreachable(error.to_string()))
}

/// Whether trying again cannot help.
fn is_final(error: &ExecutionError) -> bool {
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) = error else { return false };
    matches!(error, DbError::Unauthorized | DbError::SyntaxError | DbError::ConfigError | DbError::AuthenticationError)
}

async fn prepare(session: &Session, cql: String) -> Result<PreparedStatement, Error> {
    let prepared = session.prepare(cql.as_str()).await;
    prepared.map_err(|error: PrepareError| {
        Error::Unreachable(format!("`{cql}` cannot be prepared: {error}; compare the tables with `holdfast schema cql`"))
    })
}
