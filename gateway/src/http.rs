//! The HTTP server: its connections, and what is around every route.
//!
//! Invariants: who may not call is answered before any route is looked for; every answer has the id of its request, and says which pages
//! of other origins may read it.

use crate::access::Access;
use crate::app::{App, cores};
use crate::refusals::is_refusal;
use crate::request::{is_stamped, request_id, stamp};
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

/// The server that is used here takes no more, and panics.
pub const MOST_WORKERS: usize = 512;

/// Starts to serve on an address that is taken.
///
/// # Errors
/// If the system does not let it listen.
pub fn start(app: &web::Data<App>, listener: TcpListener) -> std::io::Result<Server> {
    let server = &app.settings.server;
    let workers = if server.workers == 0 { cores().min(MOST_WORKERS) } else { server.workers };
    let shared = app.clone();
    let access = Arc::new(Access::of(&app.settings, app.keys.are_needed()));
    let service = HttpServer::new(move || {
        let access = access.clone();
        // Not boxed, and the outermost: see `body::connected`.
        let service = Service::new().app_data(shared.clone()).wrap_fn(move |request, next| {
            let sharing = access.sharing(&request);
            let answered = match access.check(&request) {
                Ok(()) => access.preflight(&request),
                Err(problem) => Some(problem.response()),
            };
            let admitted = match answered {
                None => Ok(next.call(request)),
                Some(response) => Err(request.into_response(response)),
            };
            async move {
                let mut served = match admitted {
                    Ok(serving) => body::connected(serving).await?,
                    Err(answered) => answered,
                };
                if is_refusal(&served) {
                    // Boxed, as its future would stay with every request.
                    Box::pin(hold(&mut served)).await;
                }
                sharing.apply(served.headers_mut());
                Ok(named(served))
            }
        });
        service.configure(routes::configure)
    })
    .workers(workers)
    .max_connections(server.max_connections)
    .backlog(8192)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(server.drain_seconds)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(service)
}

async fn hold(refusal: &mut ServiceResponse) {
    if let Some(app) = refusal.request().app_data::<web::Data<App>>().cloned() {
        app.refusals.hold(refusal).await;
    }
}

/// Every answer has the id of its request.
fn named(mut response: ServiceResponse) -> ServiceResponse {
    if !is_stamped(response.headers()) {
        let id = request_id(response.request());
        stamp(response.headers_mut(), &id);
    }
    response
}
