//! Bodies behind middleware that does not poll as the connection does.

use super::configure;
use crate::http::body::connected;
use crate::settings::Settings;
use crate::state::App;
use actix_web::dev::{Service as _, ServiceResponse};
use actix_web::{App as Service, Error, HttpServer, web};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far more than it takes; a body that nobody is woken for takes for ever.
const TIMEOUT: Duration = Duration::from_secs(100);

type Serving = LocalBoxFuture<'static, Result<ServiceResponse, Error>>;

/// A body that was read is answered as what it is, malformed.
fn app() -> web::Data<App> {
    let mut settings = Settings::default();
    // Whoever waits is not woken by the end of this.
    (settings.server.body_timeout_seconds, settings.server.body_seconds) = (3600, 3600);
    web::Data::new(App::without_engine(settings))
}

async fn serve(middleware: fn(Serving) -> Serving) -> (actix_web::dev::ServerHandle, SocketAddr) {
    let app = app();
    let server = HttpServer::new(move || {
        Service::new()
            .app_data(app.clone())
            .wrap_fn(move |request, next| middleware(Box::pin(next.call(request))))
            .wrap_fn(|request, next| connected(next.call(request)))
            .configure(configure)
    });
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (handle, address)
}

/// Sends a body in two parts, neither before the request is served: the server asks for it once it has the head.
async fn place(address: SocketAddr) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
        Idempotency-Key: k\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    socket.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&asked));
    for part in [b"{\"cust".as_slice(), b"omer\":1}"] {
        socket.write_all(part).await.unwrap();
        socket.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn is_read_behind(middleware: fn(Serving) -> Serving) {
    let (server, address) = serve(middleware).await;
    let answer = tokio::time::timeout(TIMEOUT, place(address)).await;
    let answer = answer.unwrap_or_else(|_| panic!("the body was never read"));
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("unknown field"), "{answer}");
    server.stop(false).await;
}

#[actix_web::test]
async fn an_order_is_read_behind_nothing() {
    is_read_behind(|serving| serving).await;
}

#[actix_web::test]
async fn an_order_is_read_behind_middleware_that_yields() {
    is_read_behind(|serving| {
        Box::pin(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            serving.await
        })
    })
    .await;
}

#[actix_web::test]
async fn an_order_is_read_behind_middleware_that_polls_by_a_waker_of_its_own() {
    is_read_behind(|serving| {
        Box::pin(async {
            let mut all = FuturesUnordered::from_iter([serving]);
            all.next().await.unwrap_or_else(|| unreachable!("there is one"))
        })
    })
    .await;
}

#[actix_web::test]
async fn an_order_is_read_behind_middleware_that_serves_in_a_task_of_its_own() {
    is_read_behind(|serving| Box::pin(async { actix_web::rt::spawn(serving).await.unwrap() })).await;
}
