//! The HTTP server: its connections, and what is around every route.
//!
//! Invariants: who may not call is answered before any route is looked for; every answer has the id of its request, and says which pages
//! of other origins may read it; a body that no route reads is not read on for the sake of the next request.

use crate::http::access::Access;
use crate::http::body::unread;
use crate::http::client::Proxies;
use crate::http::request_id::{is_stamped, request_id, stamp};
use crate::http::routes::Serves;
use crate::http::routes::docs::Description;
use crate::http::timed::Timed;
use crate::http::{body, client, openapi, routes};
use crate::keys::refusals::is_refusal;
use crate::process::descriptors::{Connections, TooFew};
use crate::settings::{MOST_WORKERS, Settings};
use crate::state::App;
use crate::threads::cores;
use actix_web::dev::{Server, Service as _, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::{App as Service, HttpServer, web};
use rustix::net::sockopt;
use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// Idle connections stay open longer than pools and balancers keep them, so that it is never the server who closes one
/// into which a request is just being sent.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a new connection may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of answers that the system has in hand for a connection; it takes twice as many for its own notes.
const SEND_BUFFER: usize = 128 * 1024;

/// How many connections are taken, and by how many workers.
///
/// # Errors
/// If the system does not let the process have enough files.
pub fn connections(settings: &Settings) -> Result<Connections, TooFew> {
    Connections::wanted(settings.server.max_connections, workers(settings))
}

/// Connections that operators may have, where they have an address of their own.
pub const OPERATORS: usize = 64;

/// Starts to serve on an address that is taken.
///
/// # Errors
/// If the system does not let it listen.
pub fn start(app: &web::Data<App>, listener: TcpListener, connections: Connections, serves: Serves) -> std::io::Result<Server> {
    let shared = app.clone();
    let access = Access::of(&app.settings, app.keys.are_needed());
    let timeout = Duration::from_secs(app.settings.server.stream_patience_seconds);
    let proxies = Proxies::of(&app.settings);
    let console = app.settings.console.enabled && serves != Serves::Api;
    let description = web::Data::new(Description(openapi::json()));
    let service = HttpServer::new(move || {
        let (access, proxies, timed) = (access.clone(), proxies.clone(), Timed::unrouted());
        // Not boxed, and the outermost: see `body::connected`.
        let service = Service::new().app_data(shared.clone()).app_data(description.clone()).wrap_fn(move |request, next| {
            let client = proxies.client(&request);
            let sharing = access.sharing(&request);
            let answered = match access.check(&request) {
                Ok(()) => access.preflight(&request),
                Err(problem) => Some(problem.answer_to(request.request())),
            };
            let admitted = match answered {
                None => Ok(client::serving(client, next.call(request))),
                Some(response) => {
                    // Only now: the clock is not read for each request for the sake of what took no time.
                    let (began, answered) = (Instant::now(), Ok(unread::refuse(request, response)));
                    timed.count(began, &answered);
                    Err(answered)
                }
            };
            async move {
                let mut served = match admitted {
                    Ok(serving) => body::connected(serving).await?,
                    Err(answered) => answered?,
                };
                if is_refusal(&served) {
                    // Boxed, as its future would stay with every request.
                    Box::pin(hold(&mut served)).await;
                }
                sharing.apply(served.headers_mut());
                let served = named(served);
                match unread::of(&served) {
                    Some(rest) => Ok(rest.behind(served).await),
                    None => Ok(served),
                }
            }
        });
        let service = service.configure(move |service| serves.configure(service));
        if console { service.configure(routes::console::configure) } else { service }
    })
    .on_connect(move |connection, _| bound(connection, timeout))
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

/// Bounds what a reader who does not read costs: the system has only so much of an answer in hand, and closes the connection of who
/// takes nothing of it for so long. Nothing else would: a stream is asked for more only when there is room for it.
fn bound(connection: &dyn Any, timeout: Duration) {
    let Some(socket) = connection.downcast_ref::<TcpStream>() else { return };
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let bounded =
        sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER).and_then(|()| sockopt::set_tcp_user_timeout(socket, millis));
    if let Err(error) = bounded {
        tracing::debug!(%error, "a connection is not bounded");
    }
}

/// Threads that parse and answer HTTP.
pub fn workers(settings: &Settings) -> usize {
    if settings.server.workers == 0 { cores().min(MOST_WORKERS) } else { settings.server.workers }
}

async fn hold(refusal: &mut ServiceResponse) {
    let Some(app) = refusal.request().app_data::<web::Data<App>>().cloned() else { return };
    let sender = Proxies::of(&app.settings).sender(refusal.request());
    app.refusals.hold(sender.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), refusal).await;
}

/// Every answer has the id of its request.
fn named(mut response: ServiceResponse) -> ServiceResponse {
    if !is_stamped(response.headers()) {
        let id = request_id(response.request());
        stamp(response.headers_mut(), &id);
    }
    response
}
