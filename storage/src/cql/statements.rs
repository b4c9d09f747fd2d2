//! Every statement, prepared on the session it is for.
//!
//! Invariant: what belongs to the fence is conditional or a serial read; only what gives the same however often it is
//! carried out is called idempotent.

use super::errors::in_time;
use super::options::Options;
use crate::contract::Error;
use futures_util::try_join;
use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::statement::prepared::PreparedStatement;

/// Of the table `partition_lease`.
pub(super) struct Leases {
    pub(super) read_lease: PreparedStatement,
    pub(super) create_lease: PreparedStatement,
    pub(super) bid: PreparedStatement,
    pub(super) hint: PreparedStatement,
    pub(super) release: PreparedStatement,
    pub(super) keep: PreparedStatement,
    pub(super) point: PreparedStatement,
}

/// Of the table `journal`.
pub(super) struct Segments {
    pub(super) read_head: PreparedStatement,
    pub(super) seize: PreparedStatement,
    pub(super) open: PreparedStatement,
    pub(super) append: PreparedStatement,
    pub(super) close: PreparedStatement,
    pub(super) read_rows: PreparedStatement,
    pub(super) closed_at: PreparedStatement,
    pub(super) purge: PreparedStatement,
}

/// Of the tables of snapshots and rows.
pub(super) struct Tables {
    pub(super) put_chunk: PreparedStatement,
    pub(super) read_chunks: PreparedStatement,
    pub(super) read_chunk: PreparedStatement,
    pub(super) drop_chunks: PreparedStatement,
    pub(super) put_row: PreparedStatement,
    pub(super) get_row: PreparedStatement,
    pub(super) scan_rows: PreparedStatement,
}

/// Of the table `layout`.
pub(super) struct Layout {
    pub(super) read: PreparedStatement,
    pub(super) create: PreparedStatement,
    pub(super) upgrade: PreparedStatement,
}

/// Prepares statements side by side: each takes a round trip.
pub(super) struct Preparer<'a> {
    pub(super) fence: &'a Session,
    pub(super) bulk: &'a Session,
    pub(super) options: &'a Options,
}

impl Preparer<'_> {
    pub(super) async fn leases(&self) -> Result<Leases, Error> {
        let keyspace = &self.options.keyspace;
        let lease = format!("{keyspace}.partition_lease");
        let (read_lease, create_lease, bid, hint, release, keep, point) = try_join!(
            self.serial(format!(
                "SELECT epoch, owner, seg_hint, kept_seg, snap_id, prev_snap_id FROM {lease} WHERE partition_id = ?"
            )),
            self.fenced(format!(
                "INSERT INTO {lease} (partition_id, epoch, owner, addr, seg_hint) VALUES (?, ?, ?, ?, 0) IF NOT EXISTS"
            )),
            self.fenced(format!("UPDATE {lease} SET epoch = ?, owner = ?, addr = ? WHERE partition_id = ? IF epoch = ?")),
            self.fenced(format!("UPDATE {lease} SET seg_hint = ? WHERE partition_id = ? IF epoch = ?")),
            self.fenced(format!("UPDATE {lease} SET owner = null, addr = null WHERE partition_id = ? IF epoch = ?")),
            self.fenced(format!("UPDATE {lease} SET kept_seg = ? WHERE partition_id = ? IF epoch = ?")),
            self.fenced(format!(
                "UPDATE {lease} SET snap_id = ?, prev_snap_id = ? WHERE partition_id = ? IF epoch = ? AND snap_id = ?"
            ))
        )?;
        Ok(Leases { read_lease, create_lease, bid, hint, release, keep, point })
    }

    pub(super) async fn segments(&self) -> Result<Segments, Error> {
        let keyspace = &self.options.keyspace;
        let journal = format!("{keyspace}.journal");
        let segment = "WHERE partition_id = ? AND seg = ?";
        let (read_head, seize, open, append, close, read_rows, closed_at, purge) = try_join!(
            self.serial(format!("SELECT epoch, next, closed FROM {journal} {segment} LIMIT 1")),
            self.fenced(format!("UPDATE {journal} SET epoch = ? {segment} IF epoch = ?")),
            self.fenced(format!(
                "INSERT INTO {journal} (partition_id, seg, epoch, next, closed) VALUES (?, ?, ?, ?, false) IF NOT EXISTS"
            )),
            self.fenced(format!(
                "UPDATE {journal} SET next = ?, events = ?, body = ? {segment} AND seq = ? \
                 IF epoch = ? AND next = ? AND closed = false"
            )),
            self.fenced(format!("UPDATE {journal} SET closed = true {segment} IF epoch = ? AND next = ? AND closed = false")),
            self.plain(format!("SELECT seq, body FROM {journal} {segment} AND seq >= ? AND seq < ?")),
            self.plain(format!("SELECT WRITETIME(closed) FROM {journal} {segment} LIMIT 1")),
            self.plain(format!("DELETE FROM {journal} USING TIMESTAMP ? {segment} AND seq >= ? AND seq < ?"))
        )?;
        Ok(Segments { read_head, seize, open, append, close, read_rows, closed_at, purge })
    }

    pub(super) async fn tables(&self) -> Result<Tables, Error> {
        let keyspace = &self.options.keyspace;
        let (chunk, row) = (format!("{keyspace}.snap_chunk"), format!("{keyspace}.projection"));
        let (put_chunk, read_chunks, read_chunk, drop_chunks, put_row, get_row, scan_rows) = try_join!(
            self.plain(format!("INSERT INTO {chunk} (partition_id, snap_id, part, n, body) VALUES (?, ?, ?, ?, ?)")),
            self.plain(format!("SELECT n, body FROM {chunk} WHERE partition_id = ? AND snap_id = ? AND part = ?")),
            self.plain(format!("SELECT body FROM {chunk} WHERE partition_id = ? AND snap_id = ? AND part = ? AND n = 0")),
            self.plain(format!("DELETE FROM {chunk} WHERE partition_id = ? AND snap_id = ? AND part = ?")),
            self.plain(format!("INSERT INTO {row} (kind, grp, key, value) VALUES (?, ?, ?, ?) USING TIMESTAMP ?")),
            self.plain(format!("SELECT value FROM {row} WHERE kind = ? AND grp = ? AND key = ?")),
            self.plain(format!("SELECT key, value FROM {row} WHERE kind = ? AND grp = ? AND key >= ? AND key < ? LIMIT ?"))
        )?;
        Ok(Tables { put_chunk, read_chunks, read_chunk, drop_chunks, put_row, get_row, scan_rows })
    }

    pub(super) async fn layout(&self) -> Result<Layout, Error> {
        let layout = format!("{}.layout", self.options.keyspace);
        let (read, create, upgrade) = try_join!(
            self.serial(format!("SELECT version, partitions FROM {layout} WHERE id = 0")),
            self.fenced(format!("INSERT INTO {layout} (id, version, partitions) VALUES (0, ?, ?) IF NOT EXISTS")),
            self.fenced(format!("UPDATE {layout} SET version = ? WHERE id = 0 IF version < ?"))
        )?;
        Ok(Layout { read, create, upgrade })
    }

    async fn fenced(&self, cql: String) -> Result<PreparedStatement, Error> {
        prepare(self.fence, self.options, cql).await
    }

    async fn serial(&self, cql: String) -> Result<PreparedStatement, Error> {
        let mut statement = prepare(self.fence, self.options, cql).await?;
        statement.set_consistency(self.options.consistency.serial_read());
        Ok(statement)
    }

    async fn plain(&self, cql: String) -> Result<PreparedStatement, Error> {
        let mut statement = prepare(self.bulk, self.options, cql).await?;
        statement.set_is_idempotent(true);
        Ok(statement)
    }
}

async fn prepare(session: &Session, options: &Options, cql: String) -> Result<PreparedStatement, Error> {
    let prepared = in_time(options, &cql, session.prepare(cql.as_str())).await?;
    prepared.map_err(|error: PrepareError| {
        Error::Unreachable(format!("`{cql}` cannot be prepared: {error}; compare the tables with `holdfast schema cql`"))
    })
}
