//! What a shop would build without Holdfast: the same HTTP front as `bare`, before a store that reserves one SKU an order and keeps the order.
//!
//! Invariant: an order is answered after its store has acknowledged it, with the bytes that `bare` answers; a key has one effect.

#[path = "../order_reply.rs"]
mod order_reply;
mod postgres;
mod redis;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use clap::{Parser, ValueEnum};
use order_reply::{Order, created};
use std::sync::atomic::{AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The HTTP front of `bare` before another store, to compare Holdfast with
#[derive(Clone, Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: String,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    #[arg(long, value_enum)]
    store: Kind,
    /// Where the store is: redis://… or the parameters of a PostgreSQL connection
    #[arg(long)]
    at: String,
    /// Connections of all workers to PostgreSQL
    #[arg(long, default_value_t = 16)]
    pool: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// A script that looks at the key, takes the units and writes the order
    Redis,
    /// A transaction: UPDATE of the row with its condition, INSERT of the order
    PostgresRow,
    /// The same in one statement
    PostgresStatement,
}

/// What a store says to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    Placed,
    Duplicate,
    OutOfStock,
}

/// Of one worker.
enum Store {
    Redis(redis::Redis),
    Postgres(postgres::Postgres),
}

impl Store {
    async fn open(args: &Args) -> Result<Self, String> {
        match args.store {
            Kind::Redis => redis::Redis::open(&args.at).await.map(Self::Redis),
            Kind::PostgresRow => postgres::Postgres::open(&args.at, share(args), false).map(Self::Postgres),
            Kind::PostgresStatement => postgres::Postgres::open(&args.at, share(args), true).map(Self::Postgres),
        }
    }

    async fn reserve(&self, key: &str, sku: &str, quantity: i64) -> Result<Reserved, String> {
        match self {
            Self::Redis(redis) => redis.reserve(key, sku, quantity).await.map_err(|error| error.to_string()),
            Self::Postgres(postgres) => postgres.reserve(key, sku, quantity).await,
        }
    }
}

/// Connections of one worker.
fn share(args: &Args) -> usize {
    (args.pool / args.workers).max(1)
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

async fn place(request: HttpRequest, body: Bytes, store: Data<Store>) -> HttpResponse {
    let Ok(order) = serde_json::from_slice::<Order>(&body) else { return HttpResponse::BadRequest().finish() };
    let key = request.headers().get("Idempotency-Key").and_then(|key| key.to_str().ok());
    let ([line], Some(key)) = (&order.lines[..], key) else {
        return HttpResponse::BadRequest().body("one line, and an Idempotency-Key");
    };
    let Ok(quantity) = i64::try_from(line.quantity) else { return HttpResponse::BadRequest().finish() };
    match store.reserve(key, &line.sku, quantity).await {
        Ok(Reserved::Placed | Reserved::Duplicate) => created(&order, NUMBER.fetch_add(1, Ordering::Relaxed)),
        Ok(Reserved::OutOfStock) => HttpResponse::Conflict().finish(),
        Err(error) => HttpResponse::ServiceUnavailable().body(error),
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let (listen, workers) = (args.listen.clone(), args.workers);
    let app = move || {
        let args = args.clone();
        App::new().data_factory(move || {
            let args = args.clone();
            async move { Store::open(&args).await }
        })
    };
    HttpServer::new(move || app().route("/v1/orders", web::post().to(place)))
        .workers(workers)
        .backlog(8192)
        .bind(listen)?
        .run()
        .await
}
