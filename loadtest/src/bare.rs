//! The measure for the order path: an actix-web handler that parses the same JSON as `POST /v1/orders`, answers a reply
//! of the same fields and size, and stores nothing. What Holdfast adds to this is the price of durability.

mod order_reply;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use clap::Parser;
use order_reply::{Order, created};
use std::sync::atomic::{AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A handler that stores nothing.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: String,
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

async fn place(body: Bytes) -> HttpResponse {
    let Ok(order) = serde_json::from_slice::<Order>(&body) else { return HttpResponse::BadRequest().finish() };
    created(&order, NUMBER.fetch_add(1, Ordering::Relaxed))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    HttpServer::new(|| App::new().route("/v1/orders", web::post().to(place)))
        .workers(args.workers)
        .backlog(8192)
        .bind(args.listen)?
        .run()
        .await
}
