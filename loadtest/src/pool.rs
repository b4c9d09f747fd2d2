//! Connections to one server, used again and again, the last used first.
//!
//! Invariant: no more are open than there is room for; who finds none waits, and his request is late by that.

use crate::http::{Answer, Connection, Target};
use std::io::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// An answer that takes longer has an unknown outcome.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Connections being opened at once: more would overflow the server's backlog.
const OPENING: usize = 256;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub struct NoAnswer {
    pub why: String,
    /// What was asked may have happened.
    pub sent: bool,
}

#[derive(Clone)]
pub struct Pool {
    pub target: Target,
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
}

impl Pool {
    pub fn new(target: Target, connections: usize) -> Self {
        Self { target, idle: Arc::default(), room: Arc::new(Semaphore::new(connections)) }
    }

    /// Opens so many connections, each in use: its owner has looked at the server and waits.
    ///
    /// # Errors
    /// If the server does not take them.
    pub async fn fill(&self, connections: usize) -> std::result::Result<(), String> {
        let opening = Arc::new(Semaphore::new(OPENING));
        let opened: Vec<_> = (0..connections).map(|_| tokio::spawn(open(self.target.clone(), opening.clone()))).collect();
        for one in opened {
            let connection = one.await.map_err(|error| error.to_string())?;
            self.put_back(connection.map_err(|error| format!("a buyer cannot connect: {error}"))?);
        }
        Ok(())
    }

    /// A request and its answer.
    ///
    /// # Errors
    /// If there is no answer; and whether what was asked may have happened.
    pub async fn send(&self, request: &[u8]) -> std::result::Result<Answer, NoAnswer> {
        let Ok(room) = timeout(TIMEOUT, self.room.acquire()).await else {
            return Err(NoAnswer { why: "no connection free in 30 s".to_owned(), sent: false });
        };
        let _room = room.expect("the semaphore is never closed");
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => self.target.connect().await.map_err(|error| NoAnswer { why: error.kind().to_string(), sent: false })?,
        };
        let answer = match timeout(TIMEOUT, connection.send(request)).await {
            Ok(answer) => answer.map_err(|error| NoAnswer { why: error.kind().to_string(), sent: true })?,
            Err(_) => return Err(NoAnswer { why: "no answer in 30 s".to_owned(), sent: true }),
        };
        self.put_back(connection);
        Ok(answer)
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(Connection::is_open)
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

async fn open(target: Target, opening: Arc<Semaphore>) -> Result<Connection> {
    let _place = opening.acquire().await.map_err(Error::other)?;
    let mut connection = target.connect().await?;
    connection.send(&target.request("GET", "/livez", "", "")).await?;
    Ok(connection)
}
