//! `holdfast healthcheck`: for containers that have no curl.

use super::{Outcome, output};
use serde_json::{Value, json};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(3);
const MOST_BYTES: usize = 64 << 10;

pub(super) fn run(address: &str, as_json: bool) -> Outcome {
    let answer = actix_web::rt::System::new().block_on(ask(address));
    let ready = matches!(answer, Ok((200, _)));
    let said = answer.map_or_else(|error| error, |(status, body)| words(status, &body));
    let shown = if as_json {
        json!({"ready": ready, "detail": said}).to_string()
    } else {
        format!("{}: {said}", if ready { "ready" } else { "not ready" })
    };
    output::verdict(ready, shown)
}

/// Status and body of `/readyz`.
async fn ask(address: &str) -> Result<(u16, Value), String> {
    let url = format!("http://{address}/readyz");
    let sent = awc::Client::builder().timeout(TIMEOUT).finish().get(&url).send().await;
    let mut response = sent.map_err(|error| format!("{url}: {error}"))?;
    // Whatever else answers there: the status says it.
    let body = response.body().limit(MOST_BYTES).await.unwrap_or_default();
    Ok((response.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default()))
}

/// The status, and why it is not ready: a problem of any door says that as `detail`.
fn words(status: u16, body: &Value) -> String {
    match body["reason"].as_str().or(body["detail"].as_str()) {
        Some(reason) if !reason.is_empty() => format!("status {status}, {reason}"),
        _ => format!("status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        assert_eq!(words(200, &json!({"status": "ready"})), "status 200");
        assert_eq!(words(503, &json!({"status": "not ready", "reason": "draining"})), "status 503, draining");
        assert_eq!(words(421, &json!({"detail": "this is another host"})), "status 421, this is another host");
        assert_eq!(words(502, &Value::Null), "status 502");
    }
}
