//! Redis: one script an order over one multiplexed connection a worker. Whether an acknowledged order is on disk is `appendfsync`'s choice.

use crate::Reserved;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script};

/// Keys: the order, the stock. Arguments: units, SKU, seconds until an unpaid order is gone.
const RESERVE: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
local available = tonumber(redis.call('HGET', KEYS[2], 'available') or '0')
local quantity = tonumber(ARGV[1])
if available < quantity then return 2 end
redis.call('HINCRBY', KEYS[2], 'available', -quantity)
redis.call('HINCRBY', KEYS[2], 'held', quantity)
redis.call('HSET', KEYS[1], 'sku', ARGV[2], 'quantity', quantity, 'status', 'held')
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 0";
const TTL: u32 = 900;

pub(crate) struct Redis {
    connection: MultiplexedConnection,
    script: Script,
}

impl Redis {
    pub(crate) async fn open(at: &str) -> Result<Self, String> {
        let client = redis::Client::open(at).map_err(|error| error.to_string())?;
        let connection = client.get_multiplexed_async_connection().await.map_err(|error| error.to_string())?;
        Ok(Self { connection, script: Script::new(RESERVE) })
    }

    pub(crate) async fn reserve(&self, key: &str, sku: &str, quantity: i64) -> Result<Reserved, RedisError> {
        let mut call = self.script.prepare_invoke();
        call.key(format!("order:{key}")).key(format!("stock:{sku}")).arg(quantity).arg(sku).arg(TTL);
        let answer: u8 = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(match answer {
            0 => Reserved::Placed,
            1 => Reserved::Duplicate,
            _ => Reserved::OutOfStock,
        })
    }
}
