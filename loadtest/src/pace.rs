//! Open-loop pace: request `n` is due `n / rate` after the start, whatever became of the ones before. Latency counts from
//! there, so a server that stalls cannot slow its own measurement down.

use crate::http::{Connection, Target};
use crate::report::{Outcome, Outcomes};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

/// An answer that takes longer has an unknown outcome.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Pace {
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
    /// Open connections at most: a browser or pool has limits too. Waiting for one counts as latency.
    pub(crate) connections: usize,
}

/// Idle connections, the last used first.
#[derive(Clone)]
struct Pool {
    target: Target,
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
}

impl Pace {
    /// Sends what `make` says is the request of each number, with its label, and tells what came of it.
    pub(crate) async fn run(&self, target: &Target, make: impl Fn(u64) -> (usize, Vec<u8>)) -> Outcomes {
        let room = Arc::new(Semaphore::new(self.connections));
        let pool = Pool { target: target.clone(), idle: Arc::default(), room };
        let start = Instant::now();
        let mut sent = Vec::new();
        for number in 0..self.rate * self.seconds {
            let due = start + Duration::from_nanos(number * 1_000_000_000 / self.rate);
            sleep_until(due).await;
            let (label, request) = make(number);
            sent.push(tokio::spawn(pool.clone().send(label, request, due)));
        }
        let mut outcomes = Outcomes::default();
        for one in sent {
            match one.await {
                Ok(outcome) => outcomes.add(outcome),
                Err(error) => eprintln!("a request was lost here: {error}"),
            }
        }
        outcomes.took = start.elapsed();
        outcomes
    }
}

impl Pool {
    async fn send(self, label: usize, request: Vec<u8>, due: Instant) -> Outcome {
        let answer = match timeout(PATIENCE, self.exchange(&request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.kind().to_string()),
            Err(_) => Err("no answer in 30 s".to_owned()),
        };
        Outcome { label, answer, latency: due.elapsed() }
    }

    async fn exchange(&self, request: &[u8]) -> std::io::Result<crate::http::Answer> {
        let _place = self.room.acquire().await.map_err(std::io::Error::other)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.target.connect().await?,
        };
        let answer = connection.send(request).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }
}
