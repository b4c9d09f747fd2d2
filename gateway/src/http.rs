//! The HTTP server: its connections, and what is around every route.
//!
//! Invariants: who may not call is answered before any route is looked for; every answer has the id of its request; a body that no
//! route reads is not read on for the sake of the next request.

use crate::access::Access;
use crate::app::{App, cores};
use crate::body::unread;
use crate::descriptors::{Connections, TooFew};
use crate::request::{is_stamped, request_id, stamp};
use crate::settings::Server as Settings;
use crate::{body, routes};
use actix_web::dev::{Server, Service as _, ServiceResponse};
use actix_web::{App as Service, HttpServer, web};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// Idle connections stay open longer than pools and balancers keep them, so that it is never the server who closes one
/// into which a request is just being sent.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a new connection may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections are taken, and by how many workers.
///
/// # Errors
/// If the system does not let the process have enough files.
pub fn connections(server: &Settings) -> Result<Connections, TooFew> {
    let workers = if server.workers == 0 { cores() } else { server.workers };
    Connections::wanted(server.max_connections, workers)
}

/// Starts to serve on an address that is taken.
///
/// # Errors
/// If the system does not let it listen.
pub fn start(app: &web::Data<App>, listener: TcpListener, connections: Connections) -> std::io::Result<Server> {
    let shared = app.clone();
    let access = Arc::new(Access::of(&app.settings, app.keys.is_some()));
    let service = HttpServer::new(move || {
        let access = access.clone();
        // Not boxed, and the outermost: see `body::connected`.
        let service = Service::new().app_data(shared.clone()).wrap_fn(move |request, next| {
            let admitted = match access.check(&request) {
                Ok(()) => Ok(next.call(request)),
                Err(problem) => Err(unread::refuse(request, problem.response())),
            };
            async move {
                let served = match admitted {
                    Ok(serving) => body::connected(serving).await?,
                    Err(refused) => refused,
                };
                let served = named(served);
                match unread::of(&served) {
                    Some(rest) => Ok(rest.behind(served).await),
                    None => Ok(served),
                }
            }
        });
        service.configure(routes::configure)
    })
    .workers(connections.workers)
    .max_connections(connections.of_a_worker())
    .backlog(8192)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    // `body::unread` waits for the client to read its answer; this would read whatever the client sends meanwhile.
    .client_disconnect_timeout(Duration::ZERO)
    // Who has closed a connection waits for nothing: its audits and streams end.
    .h1_allow_half_closed(false)
    .shutdown_timeout(app.settings.server.drain_seconds)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(service)
}

/// Every answer has the id of its request.
fn named(mut response: ServiceResponse) -> ServiceResponse {
    if !is_stamped(response.headers()) {
        let id = request_id(response.request());
        stamp(response.headers_mut(), &id);
    }
    response
}
