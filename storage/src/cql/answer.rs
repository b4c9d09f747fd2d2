//! What a server answered, read by the names of its columns: ScyllaDB always shows the row that was there, Cassandra only
//! when the condition was false, and then only the columns of the condition.

use crate::contract::Error;
use crate::fencing::{Head, Lease, Owner};
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use std::collections::HashMap;
use uuid::Uuid;

/// The first row of an answer, by name. Columns that are null are left out.
pub(super) struct Answer {
    columns: HashMap<String, CqlValue>,
    rows: usize,
}

impl Answer {
    pub(super) fn read(result: QueryResult) -> Result<Self, Error> {
        let rows = result.into_rows_result().map_err(|error| unexpected(&error))?;
        let names: Vec<String> = rows.column_specs().iter().map(|spec| spec.name().to_owned()).collect();
        let first = rows.maybe_first_row::<Row>().map_err(|error| unexpected(&error))?;
        let values = first.map(|row| row.columns).unwrap_or_default();
        let columns = names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(Self { columns, rows: rows.rows_num() })
    }

    /// Of a conditional statement: whether the condition was true.
    pub(super) fn applied(&self) -> Result<bool, Error> {
        match self.columns.get("[applied]") {
            Some(CqlValue::Boolean(applied)) => Ok(*applied),
            other => Err(Error::Failed(format!("a conditional statement was answered with {other:?}"))),
        }
    }

    /// Whether no row was found.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn bigint(&self, name: &str) -> Option<u64> {
        match self.columns.get(name)? {
            CqlValue::BigInt(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(super) fn int(&self, name: &str) -> Option<i32> {
        match self.columns.get(name)? {
            CqlValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn uuid(&self, name: &str) -> Option<Uuid> {
        match self.columns.get(name)? {
            CqlValue::Uuid(value) => Some(*value),
            _ => None,
        }
    }

    /// The static columns, if all are there.
    pub(super) fn head(&self) -> Option<Head> {
        let closed = match self.columns.get("closed")? {
            CqlValue::Boolean(closed) => *closed,
            _ => return None,
        };
        Some(Head { epoch: self.bigint("epoch")?, next: self.bigint("next")?, closed })
    }

    /// The lease, if all that it always has is there.
    pub(super) fn lease(&self) -> Option<Lease> {
        let owner = self.uuid("owner").map(|owner| Owner(owner.as_u128()));
        let segment_hint = u32::try_from(self.int("seg_hint")?).ok()?;
        Some(Lease { epoch: self.bigint("epoch")?, owner, segment_hint })
    }
}

pub(super) fn unexpected(error: &dyn std::error::Error) -> Error {
    Error::Failed(format!("the cluster answered what is not understood: {error}"))
}
