//! The HTTP servers of the process: of the API, and of operators where they have an address of their own.
//!
//! Invariant: operators have connections and a thread that no caller of the API can use up.

use crate::http::routes::Serves;
use crate::http::server;
use crate::process::descriptors::Connections;
use crate::state::App;
use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use actix_web::web::Data;
use futures_util::future::join_all;
use std::net::TcpListener;

pub(super) struct Servers(Vec<(ServerHandle, JoinHandle<std::io::Result<()>>)>);

impl Servers {
    /// # Errors
    /// If the system does not let one of them listen.
    pub(super) fn start(
        app: &Data<App>,
        api: TcpListener,
        operators: Option<TcpListener>,
        connections: Connections,
    ) -> std::io::Result<Self> {
        let Some(operators) = operators else {
            return Ok(Self(vec![spawn(app, api, connections, Serves::Everything)?]));
        };
        let (of_api, of_operators) = connections.split(server::OPERATORS);
        tracing::info!(address = %operators.local_addr()?, "operators are served at an address of their own");
        Ok(Self(vec![spawn(app, api, of_api, Serves::Api)?, spawn(app, operators, of_operators, Serves::Operators)?]))
    }

    /// Takes no more connections. Gracefully: what is in hand is answered.
    pub(super) async fn stop(&self, gracefully: bool) {
        join_all(self.0.iter().map(|(server, _)| server.stop(gracefully))).await;
    }

    /// # Errors
    /// If one of them could not run.
    pub(super) async fn ended(self) -> std::io::Result<()> {
        for (_, serving) in self.0 {
            serving.await.map_err(std::io::Error::other)??;
        }
        Ok(())
    }
}

fn spawn(
    app: &Data<App>,
    listener: TcpListener,
    connections: Connections,
    serves: Serves,
) -> std::io::Result<(ServerHandle, JoinHandle<std::io::Result<()>>)> {
    let server = server::start(app, listener, connections, serves)?;
    Ok((server.handle(), actix_web::rt::spawn(server)))
}
