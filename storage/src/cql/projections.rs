//! Rows of the projections. Plain writes that carry the version of their row as its time: of two writers the one that
//! knows more wins, whoever was last, so a process that was fenced and does not know it undoes nothing.

use super::answer::unexpected;
use super::cluster::Cluster;
use super::values::big;
use crate::contract::{Error, Row, Table, group};
use futures_util::stream::{StreamExt, TryStreamExt, iter};

/// Rows on their way at once.
const WIDTH: usize = 32;

impl Cluster {
    /// What says of the facts behind it where they come from goes first, what says of those before it that they are there last.
    pub(super) async fn project(&self, rows: &[Row]) -> Result<(), Error> {
        for part in rows.chunk_by(|one, other| (one.table == Table::Meta) == (other.table == Table::Meta)) {
            iter(part).map(Ok).try_for_each_concurrent(WIDTH, |row| self.put(row)).await?;
        }
        Ok(())
    }

    async fn put(&self, row: &Row) -> Result<(), Error> {
        let values = (kind(row.table), group(&row.key), &*row.key, &*row.value, big(row.version));
        self.plain(&self.tables.put_row, values).await.map(drop)
    }

    pub(super) async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let read = self.plain(&self.tables.get_row, (kind(table), group(key), key)).await?;
        let rows = read.into_rows_result().map_err(|error| unexpected(&error))?;
        let row = rows.maybe_first_row::<(Vec<u8>,)>().map_err(|error| unexpected(&error))?;
        Ok(row.map(|(value,)| value))
    }

    pub(super) async fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        let values = (kind(table), group(from), from, to, limit);
        let read = self.plain(&self.tables.scan_rows, values).await?;
        let rows = read.into_rows_result().map_err(|error| unexpected(&error))?;
        let rows = rows.rows::<(Vec<u8>, Vec<u8>)>().map_err(|error| unexpected(&error))?;
        let row = |row: Result<(Vec<u8>, Vec<u8>), _>| {
            let (key, value) = row.map_err(|error| unexpected(&error))?;
            Ok(Row { table, key, value, version: 0 })
        };
        rows.map(row).collect()
    }
}

/// Frozen: it is in the rows.
fn kind(table: Table) -> i32 {
    match table {
        Table::Orders => 0,
        Table::Keys => 1,
        Table::Movements => 2,
        Table::Meta => 3,
    }
}
