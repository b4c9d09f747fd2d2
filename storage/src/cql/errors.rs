//! What the driver reports, as errors of the journal.

use super::options::Options;
use crate::contract::Error;
use scylla::errors::ExecutionError;
use std::future::Future;

/// How many times as long as a statement the steps of opening may take.
const OPENING: u32 = 4;

pub(super) fn failed(error: &ExecutionError) -> Error {
    Error::Failed(error.to_string())
}

/// The driver waits for some answers without a limit: a node that hangs must not make a start hang.
pub(super) async fn in_time<T>(options: &Options, what: &str, asked: impl Future<Output = T>) -> Result<T, Error> {
    let timeout = options.timeout * OPENING;
    let late = |_| Error::Unreachable(format!("the cluster did not answer within {timeout:?}: {what}"));
    tokio::time::timeout(timeout, asked).await.map_err(late)
}
