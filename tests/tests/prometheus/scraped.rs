//! A Prometheus of a test's own, and a run for it to scrape.

use holdfast_tests::server::{Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Ended with this value.
pub(crate) struct Prometheus {
    child: Child,
    client: Client,
    dir: TempDir,
}

impl Prometheus {
    /// One that scrapes this address each second.
    pub(crate) fn scraping(target: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| -> PathBuf { dir.path().join(name) };
        let jobs = json!([{"job_name": "holdfast", "static_configs": [{"targets": [target]}]}]);
        let config = json!({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs});
        // YAML takes JSON.
        std::fs::write(at("prometheus.yml"), config.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(at("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Self { child, client: Client::new(&format!("http://127.0.0.1:{port}")), dir };
        let ready = poll(Duration::from_secs(60), || {
            let answer = prometheus.client.ask(&Request::get("/-/ready")).ok()?;
            (answer.status == 200).then_some(())
        });
        assert!(ready.is_some(), "{}", prometheus.log());
        prometheus
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether an expression gives nothing to draw now.
    pub(crate) fn is_empty(&self, expression: &str) -> bool {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.client.json(&Request::get(format!("/api/v1/query?query={encoded}"))).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        // What there are too few samples for is not a number.
        series.iter().all(|series| series["value"][1] == "NaN")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A little of everything that dashboards show: orders that are sold, refused, declined, and run out.
pub(crate) fn busy(server: &Server, round: usize) {
    let client = Client::new(&server.url());
    let sku = format!("BUSY-{round}");
    client.json(&Request::put(format!("/v1/inventory/{sku}/locations/main"), 0, &json!({"on_hand": 100}))).unwrap();
    let line = |units: u64| json!([{"sku": sku, "quantity": units, "unit_price": 5}]);
    let order = |units: u64, more: Value| {
        let mut order = json!({"customer_id": "ada", "currency": "EUR", "lines": line(units)});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    let orders =
        [order(1, json!({"ttl_seconds": 1})), order(1_000, json!({})), order(1, json!({"payment": {"provider": "sandbox"}}))];
    for (number, body) in (0..30).flat_map(|_| orders.clone()).enumerate() {
        let answer = client.ask(&Request::keyed("/v1/orders", format!("{sku}-{number}"), &body)).unwrap();
        assert!([201, 409].contains(&answer.status), "{}", answer.shown());
    }
}
