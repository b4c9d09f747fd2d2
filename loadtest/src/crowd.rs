//! A crowd: many connections that are open before the first of them asks for anything.

use crate::http::{Connection, Target};
use crate::report::{Outcome, Outcomes};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;
use tokio::sync::{Barrier, Semaphore};
use tokio::time::Instant;

/// Connections being opened at once: more would overflow the server's backlog.
const OPENING: usize = 256;

/// Every buyer is a connection, and a connection is a file.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        eprintln!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

/// Opens a connection a request, then sends all requests at once.
pub(crate) async fn storm(target: &Target, requests: Vec<Vec<u8>>) -> Result<Outcomes, String> {
    let (ready, opening) = (Arc::new(Barrier::new(requests.len() + 1)), Arc::new(Semaphore::new(OPENING)));
    let connections: Vec<_> = requests.iter().map(|_| tokio::spawn(open(target.clone(), opening.clone()))).collect();
    let mut buyers = Vec::with_capacity(requests.len());
    for (request, connection) in requests.into_iter().zip(connections) {
        let connection = connection.await.map_err(|error| error.to_string())??;
        buyers.push(tokio::spawn(buy(connection, request, ready.clone())));
    }
    ready.wait().await;
    let start = Instant::now();
    let mut outcomes = Outcomes::default();
    for buyer in buyers {
        outcomes.add(buyer.await.map_err(|error| error.to_string())?);
    }
    outcomes.took = start.elapsed();
    Ok(outcomes)
}

/// A connection that is in use: its owner has looked at the stock and waits.
async fn open(target: Target, opening: Arc<Semaphore>) -> Result<Connection, String> {
    let failed = |error: std::io::Error| format!("a buyer cannot connect: {error}");
    let _place = opening.acquire().await.map_err(|error| error.to_string())?;
    let mut connection = target.connect().await.map_err(failed)?;
    connection.send(&target.request("GET", "/livez", "", "")).await.map_err(failed)?;
    Ok(connection)
}

async fn buy(mut connection: Connection, request: Vec<u8>, ready: Arc<Barrier>) -> Outcome {
    ready.wait().await;
    let start = Instant::now();
    let answer = connection.send(&request).await.map_err(|error| error.kind().to_string());
    Outcome { label: 0, answer, latency: start.elapsed() }
}
