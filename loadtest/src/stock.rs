//! Stock put into a server before the load, as one import: however many SKUs there are, they are rows of one stream.
//!
//! Invariant: when it is done each SKU has its units, or it says what the server refused.

use crate::http::{Answer, Target};
use serde_json::Value;
use std::fmt::Write;

const LOCATION: &str = "load";
/// Rows that are sent at once: some 64 KiB.
const TOGETHER: usize = 1024;

/// Sets so many units of each.
///
/// # Errors
/// If the server does not take all of them.
pub async fn put(target: &Target, skus: &[String], units: u64) -> Result<(), String> {
    let pieces = skus.chunks(TOGETHER).map(|skus| rows(skus, units));
    let answer = target.stream("/v1/inventory/imports", "application/x-ndjson", pieces).await;
    all_taken(&answer.map_err(|error| format!("the import of stock: {error}"))?, skus.len() as u64)
}

fn rows(skus: &[String], units: u64) -> Vec<u8> {
    let mut rows = String::new();
    for sku in skus {
        let row = format_args!("{{\"sku\":\"{sku}\",\"location\":\"{LOCATION}\",\"on_hand\":{units}}}\n");
        rows.write_fmt(row).expect("a string takes all");
    }
    rows.into_bytes()
}

/// The last line counts the rows; those before it are of rows that were refused.
fn all_taken(answer: &Answer, skus: u64) -> Result<(), String> {
    let said = String::from_utf8_lossy(&answer.body);
    let last: Value = said.lines().last().and_then(|last| serde_json::from_str(last).ok()).unwrap_or_default();
    if answer.status == 200 && last["imported"] == skus {
        return Ok(());
    }
    let first = said.lines().next().unwrap_or_default();
    Err(format!("the import of stock: {} {first}; of {skus} SKUs it has taken {}", answer.status, last["imported"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn skus(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("SKU-{n}")).collect()
    }

    /// A server that reads until `enough` of the request has come and says this. Returns what it read, too.
    async fn put_to(enough: &'static [u8], says: &'static str) -> (Result<(), String>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(enough) {
                assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
            }
            stream.write_all(says.as_bytes()).await.unwrap();
            read
        };
        let all = skus(TOGETHER + 1);
        tokio::join!(put(&target, &all, 7), serving)
    }

    #[tokio::test]
    async fn each_sku_is_a_row_of_one_request() {
        let says = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"import\r\n17\r\ned\":1025,\"refused\":0  }\r\n0\r\n\r\n";
        let (put, read) = put_to(b"\r\n0\r\n\r\n", says).await;
        assert_eq!(put, Ok(()));
        let read = String::from_utf8(read).unwrap();
        let rows: Vec<&str> = read.lines().filter(|line| line.starts_with('{')).collect();
        assert_eq!(rows.len(), TOGETHER + 1);
        assert_eq!(rows[TOGETHER], r#"{"sku":"SKU-1024","location":"load","on_hand":7}"#);
    }

    #[tokio::test]
    async fn a_refusal_before_the_end_of_the_rows_is_told_as_the_server_said_it() {
        let (put, _) = put_to(b"\r\n\r\n", "HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\n\r\nno key, I").await;
        assert!(put.as_ref().is_err_and(|why| why.contains("401 no key, I")), "{put:?}");
    }

    #[test]
    fn a_row_that_is_refused_or_missing_is_an_error() {
        let says = |body: &str| all_taken(&Answer { status: 200, retry_after: false, body: body.into() }, 2);
        assert_eq!(says("{\"imported\":2,\"refused\":0}\n"), Ok(()));
        let refused = says("{\"line\":1,\"code\":\"invalid_request\"}\n{\"imported\":1,\"refused\":1}\n");
        assert!(refused.is_err_and(|why| why.contains("invalid_request")));
        assert!(says("{\"imported\":1,\"refused\":0,\"unfinished\":1}\n").is_err());
        assert!(says("").is_err(), "the connection broke off");
    }
}
