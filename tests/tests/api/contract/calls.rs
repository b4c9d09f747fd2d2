//! A call of every operation: one that succeeds, and one that is only shaped like it.

use crate::client::{Answer, Api};
use crate::shop::{PATIENCE, fresh, hold, id, order, paying, place, reservation, stocked};
use crate::webhooks::{now, secret, signature, told};
use holdfast_tests::server::poll;
use serde_json::{Value, json};

/// A request, to be sent as it is or with a change.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

impl Call {
    fn new(method: &str, path: impl Into<String>) -> Self {
        Self { method: method.to_owned(), path: path.into(), headers: Vec::new(), body: None }
    }

    /// A request with everything that any operation asks for, of which this one reads what it reads.
    pub(crate) fn shaped(method: &str, template: &str, takes_body: bool) -> Self {
        let kind = if template.contains("reservations") { "res" } else { "ord" };
        let path = template.replace("{id}", &format!("{kind}_00000000000000000000000000")).replace("{step}", "approve");
        let path = path.replace("{attempt_id}", "pay_00000000000000000000000000-1").replace(['{', '}'], "");
        let content_type = if template.ends_with("/imports") { NDJSON } else { JSON };
        let key = fresh("key");
        let headers = [("content-type", content_type), ("idempotency-key", &*key), ("if-match", "*")];
        let headers = headers.map(|(name, value)| (name, value.to_owned())).into_iter().filter(|_| takes_body);
        let headers = headers.filter(|(name, _)| *name != "if-match" || template.ends_with("/locations/{location}"));
        Self { headers: headers.collect(), body: takes_body.then(|| b"{}".to_vec()), ..Self::new(&method.to_uppercase(), path) }
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        let this = self.with("content-type", JSON);
        Self { body: Some(body.to_string().into_bytes()), ..this }
    }

    /// With this header, in place of another of its name.
    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        let mut this = self.without(name);
        this.headers.push((name, value.to_owned()));
        this
    }

    /// With this header beside any of its name.
    pub(crate) fn beside(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    pub(crate) fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    pub(crate) fn keyed(self) -> Self {
        self.with("idempotency-key", &fresh("key"))
    }

    pub(crate) fn send(&self, api: &Api) -> Answer {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        api.send(&self.method, &self.path, &headers, self.body.as_deref())
    }
}

/// A call that succeeds, with all it needs made before.
///
/// # Panics
/// If there is no such operation: then it is to be added here.
pub(crate) fn good(api: &Api, operation: &str) -> Call {
    let order_at = |end: &str| format!("/v1/orders/{}{end}", id(&place(api, &order(&stocked(api, 3), 1))));
    let held_at = |end: &str| format!("/v1/reservations/{}{end}", id(&hold(api, &stocked(api, 3), 1)));
    let stock_at = |end: &str| format!("/v1/inventory/{}{end}", stocked(api, 3));
    match operation {
        "place_order" => Call::new("POST", "/v1/orders").json(&order(&stocked(api, 3), 1)).keyed(),
        "list_orders" => Call::new("GET", "/v1/orders?customer_id=ada&limit=5"),
        "get_order" => Call::new("GET", order_at("")),
        "get_order_timeline" => Call::new("GET", order_at("/timeline")),
        "cancel_order" => Call::new("POST", order_at(":cancel")).json(&json!({"reason": "x"})),
        "confirm_order" => Call::new("POST", order_at(":confirm")).json(&json!({})),
        "pay_order" => Call::new("POST", order_at("/payments")).json(&json!({"provider": "sandbox"})).keyed(),
        "place_reservation" => Call::new("POST", "/v1/reservations").json(&reservation(&stocked(api, 3), 1)).keyed(),
        "place_reservations" => {
            let item = |sku: &str| json!({"key": fresh("key"), "lines": [{"sku": sku, "quantity": 1}]});
            Call::new("POST", "/v1/reservations:batch")
                .json(&json!({"items": [item(&stocked(api, 3)), item("nobody-stocked-it")]}))
        }
        "get_reservation" => Call::new("GET", held_at("")),
        "release_reservation" => Call::new("DELETE", held_at("")),
        "commit_reservation" => Call::new("POST", held_at(":commit")).json(&json!({})),
        "extend_reservation" => Call::new("POST", held_at(":extend")).json(&json!({"ttl_seconds": 1000})),
        "set_stock" => Call::new("PUT", stock_at("/locations/berlin")).json(&json!({"on_hand": 4})).with("if-match", "*"),
        "adjust_stock" => {
            let body = json!({"location": "berlin", "delta": 1, "reason": "x", "reference": "y"});
            Call::new("POST", stock_at("/adjustments")).json(&body).keyed()
        }
        "close_location" => {
            let sku = stocked(api, 3);
            crate::shop::put(api, &sku, "berlni", 0);
            Call::new("DELETE", format!("/v1/inventory/{sku}/locations/berlni")).with("if-match", "*")
        }
        "list_stock" => Call::new("GET", "/v1/inventory?limit=5"),
        "get_stock" => Call::new("GET", stock_at("")),
        "set_stock_threshold" => Call::new("PATCH", stock_at("")).json(&json!({"low_stock_threshold": 1})),
        "list_movements" => Call::new("GET", stock_at("/movements?limit=1")),
        "query_availability" => {
            Call::new("POST", "/v1/availability:query").json(&json!({"skus": [stocked(api, 3), fresh("sku")]}))
        }
        "import_stock" => import(),
        "receive_sandbox_webhook" => webhook(api, &told(&place(api, &paying(&stocked(api, 1), 1)), "payment.captured")),
        "show_sandbox_payment" => Call::new("GET", page_of(api)).with("accept", JSON),
        "press_sandbox_button" => Call::new("POST", page_of(api) + "/approve"),
        "list_events" => Call::new("GET", "/v1/events?limit=5"),
        "stream_events" => Call::new("GET", "/v1/events/stream"),
        "list_shards" => Call::new("GET", "/admin/v1/shards"),
        "move_partition" => moved(),
        "get_operation" => {
            let begun = || Some(moved().send(api)).filter(|answer| answer.status == 202);
            let operation = poll(PATIENCE, begun).expect("other operations end").json();
            Call::new("GET", format!("/admin/v1/operations/{}", operation["id"].as_str().unwrap()))
        }
        "run_audit" => Call::new("POST", "/admin/v1/audit"),
        "make_backup" => Call::new("POST", "/admin/v1/backups"),
        "get_frame" => Call::new("GET", "/admin/v1/frame"),
        "get_tuning" => Call::new("GET", "/admin/v1/tuning"),
        "plan_tuning" => Call::new("POST", "/admin/v1/tuning:plan").json(&json!({"changes": {"engine.credits": 30_000}})),
        "apply_tuning" => {
            let plan = crate::tuning::plan(api, &json!({"engine.batch_kb": 1000 + fresh("n").len()}));
            Call::new("POST", "/admin/v1/tuning:apply").json(&json!({"plan": plan["plan"], "note": "a test"}))
        }
        "list_changes" => Call::new("GET", "/admin/v1/changes?limit=5"),
        "livez" => Call::new("GET", "/livez"),
        "readyz" => Call::new("GET", "/readyz"),
        "metrics" => Call::new("GET", "/metrics"),
        "get_limits" => Call::new("GET", "/v1/limits"),
        other => panic!("contract/calls.rs has no call of {other}"),
    }
}

/// To where it is.
fn moved() -> Call {
    Call::new("POST", "/admin/v1/partitions/0:move").json(&json!({"shard": 0}))
}

fn import() -> Call {
    let row = json!({"sku": fresh("sku"), "location": "berlin", "on_hand": 1});
    let body = Some(format!("{row}\nnonsense\n").into_bytes());
    Call { body, ..Call::new("POST", "/v1/inventory/imports").with("content-type", NDJSON) }
}

/// A webhook as the sandbox signs it.
pub(crate) fn webhook(api: &Api, body: &str) -> Call {
    let signed = signature(&secret(api), now(), body);
    let call = Call::new("POST", "/v1/webhooks/payments/sandbox").with("content-type", JSON).with("holdfast-signature", &signed);
    Call { body: Some(body.as_bytes().to_vec()), ..call }
}

pub(crate) fn page_of(api: &Api) -> String {
    let placed = place(api, &paying(&stocked(api, 1), 1));
    placed["payment"]["redirect_url"].as_str().unwrap().strip_prefix(api.base()).unwrap().to_owned()
}
