//! `holdfast healthcheck`: for containers that have no curl.

use super::{Outcome, output};
use serde_json::json;
use std::time::Duration;

pub(super) fn run(address: &str, as_json: bool) -> Outcome {
    let url = format!("http://{address}/readyz");
    let answer = actix_web::rt::System::new().block_on(async {
        let response = awc::Client::builder().timeout(Duration::from_secs(3)).finish().get(&url).send().await;
        response.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
    });
    let ready = answer == Ok(200);
    let said = match &answer {
        Ok(status) => format!("status {status}"),
        Err(error) => error.clone(),
    };
    let shown = if as_json {
        json!({"ready": ready, "detail": said}).to_string()
    } else {
        format!("{}: {said}", if ready { "ready" } else { "not ready" })
    };
    output::verdict(ready, shown)
}
