//! PostgreSQL: the row of the SKU is the lock. Prepared statements over a pool; `synchronous_commit` is the server's default, on.

use crate::Reserved;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, NoTls};

const TAKE: &str = "UPDATE stock SET available = available - $2, held = held + $2 WHERE sku = $1 AND available >= $2";
const KEEP: &str = "INSERT INTO orders (key, sku, quantity) VALUES ($1, $2, $3)";
const BOTH: &str = "WITH taken AS (
  UPDATE stock SET available = available - $3, held = held + $3
  WHERE sku = $2 AND available >= $3 AND NOT EXISTS (SELECT 1 FROM orders WHERE key = $1) RETURNING sku)
INSERT INTO orders (key, sku, quantity) SELECT $1, sku, $3 FROM taken";
const KNOWN: &str = "SELECT 1 FROM orders WHERE key = $1";

pub(crate) struct Postgres {
    pool: Pool,
    one_statement: bool,
}

impl Postgres {
    /// Connects when the first order comes.
    pub(crate) fn open(at: &str, connections: usize, one_statement: bool) -> Result<Self, String> {
        let config = at.parse().map_err(|error: Error| error.to_string())?;
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager).max_size(connections).runtime(Runtime::Tokio1).build();
        Ok(Self { pool: pool.map_err(|error| error.to_string())?, one_statement })
    }

    pub(crate) async fn reserve(&self, key: &str, sku: &str, quantity: i64) -> Result<Reserved, String> {
        let mut connection = self.pool.get().await.map_err(|error| error.to_string())?;
        let reserved = if self.one_statement {
            statement(&connection, key, sku, quantity).await
        } else {
            transaction(&mut connection, key, sku, quantity).await
        };
        match reserved {
            // Whoever came first with the key is committed: this one changed nothing.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Reserved::Duplicate),
            reserved => reserved.map_err(|error| error.to_string()),
        }
    }
}

async fn transaction(connection: &mut Object, key: &str, sku: &str, quantity: i64) -> Result<Reserved, Error> {
    let transaction = connection.transaction().await?;
    let take = transaction.prepare_cached(TAKE).await?;
    let keep = transaction.prepare_cached(KEEP).await?;
    if transaction.execute(&take, &[&sku, &quantity]).await? == 0 {
        return Ok(Reserved::OutOfStock);
    }
    transaction.execute(&keep, &[&key, &sku, &quantity]).await?;
    transaction.commit().await?;
    Ok(Reserved::Placed)
}

async fn statement(connection: &Object, key: &str, sku: &str, quantity: i64) -> Result<Reserved, Error> {
    let both = connection.prepare_cached(BOTH).await?;
    if connection.execute(&both, &[&key, &sku, &quantity]).await? == 1 {
        return Ok(Reserved::Placed);
    }
    let known = connection.prepare_cached(KNOWN).await?;
    let known = connection.query_opt(&known, &[&key]).await?;
    Ok(if known.is_some() { Reserved::Duplicate } else { Reserved::OutOfStock })
}
