//! A server with a console, and requests to it beside the browser.

use holdfast_tests::server::{Options, Server, binary};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

/// A customer whose name a careless page would run. A SKU may be called so too.
pub(crate) const HOSTILE: &str = "<img/onerror=x>";

pub(crate) struct Site {
    pub(crate) server: Server,
    agent: Agent,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The page without the places where a name may break.
    pub(crate) fn whole(&self) -> String {
        self.text.replace("<wbr>", "")
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        let problem: Value = serde_json::from_str(&self.text).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The cookie it sets, as it is sent back.
    pub(crate) fn cookie(&self) -> String {
        self.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned()
    }
}

impl Site {
    pub(crate) fn start(options: Options) -> Self {
        let config =
            Agent::config_builder().http_status_as_error(false).max_redirects(0).timeout_global(Some(Duration::from_secs(120)));
        Self { server: Server::start(options), agent: config.build().new_agent() }
    }

    /// With stock and a few orders, some of a customer and a SKU with a hostile name.
    pub(crate) fn stocked() -> Self {
        let site = Self::start(Options::new());
        site.fill(&[]);
        site
    }

    pub(crate) fn fill(&self, headers: &[(&str, &str)]) {
        for sku in ["MUG", HOSTILE] {
            let sku = sku.replace('<', "%3C").replace('>', "%3E").replace('/', "%2F");
            let path = format!("/v1/inventory/{sku}/locations/berlin");
            let headers = [headers, &[("if-match", "*"), ("content-type", "application/json")]].concat();
            let put = self.send("PUT", &path, &headers, &json!({"on_hand": 100}).to_string());
            assert_eq!(put.status, 200, "{put:?}");
        }
        (0..3).for_each(|n| drop(self.place(&format!("ada-{n}"), "ada", "MUG", headers)));
        self.place("hostile", HOSTILE, HOSTILE, headers);
    }

    /// Places an order and returns it.
    pub(crate) fn place(&self, key: &str, customer: &str, sku: &str, headers: &[(&str, &str)]) -> Value {
        self.send_order(key, &order(customer, sku), headers)
    }

    /// Places an order that is paid at once, by the sandbox.
    pub(crate) fn place_to_pay(&self, key: &str, customer: &str, sku: &str, headers: &[(&str, &str)]) -> Value {
        let mut body = order(customer, sku);
        body["payment"] = json!({"provider": "sandbox"});
        self.send_order(key, &body, headers)
    }

    fn send_order(&self, key: &str, body: &Value, headers: &[(&str, &str)]) -> Value {
        let headers = [headers, &[("idempotency-key", key), ("content-type", "application/json")]].concat();
        let placed = self.send("POST", "/v1/orders", &headers, &body.to_string());
        assert_eq!(placed.status, 201, "{placed:?}");
        serde_json::from_str(&placed.text).unwrap()
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, "")
    }

    /// As a form of a page of ours sends it.
    pub(crate) fn form(&self, path: &str, cookie: &str, body: &str) -> Answer {
        let origin = self.server.url();
        let headers = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)];
        self.send("POST", path, &headers, body)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.server.url()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut answer = self.agent.run(request.body(body.to_owned()).unwrap()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), text }
    }

    /// Changes a setting, as forms of the console do.
    pub(crate) fn change(&self, key: &str, value: &str, note: &str) {
        let planned = self.form("/console/settings/plan", "", &format!("key={key}&value={value}"));
        let form = format!("plan={}&confirm={key}&note={note}", plan_on(&planned.text));
        let applied = self.form("/console/settings/apply", "", &form);
        assert_eq!(applied.status, 303, "{applied:?}");
    }

    /// What `/admin/v1/shards` says.
    pub(crate) fn shards(&self) -> Vec<Value> {
        let answer = self.get("/admin/v1/shards", &[]);
        let answer: Value = serde_json::from_str(&answer.text).unwrap();
        answer["shards"].as_array().unwrap().clone()
    }

    /// A session of somebody who shows this key.
    pub(crate) fn signed_in(&self, key: &str) -> String {
        let answer = self.form("/console/login", "", &format!("key={key}"));
        assert_eq!((answer.status, answer.header("location")), (303, Some("/console")), "{answer:?}");
        answer.cookie()
    }
}

/// The id of the plan on a page.
pub(crate) fn plan_on(page: &str) -> &str {
    let behind = page.split("name=\"plan\" value=\"").nth(1);
    behind.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no plan on {page}"))
}

fn order(customer: &str, sku: &str) -> Value {
    json!({"customer_id": customer, "currency": "EUR", "lines": [{"sku": sku, "quantity": 1, "unit_price": 250}]})
}

/// A server with keys, and one key of each role.
pub(crate) struct Guarded {
    pub(crate) site: Site,
    pub(crate) admin: String,
    pub(crate) viewer: String,
    pub(crate) storefront: String,
    _data: TempDir,
}

impl Guarded {
    pub(crate) fn start(options: Options) -> Self {
        let data = tempfile::tempdir().unwrap();
        let [admin, viewer, storefront] = ["admin", "viewer", "storefront"].map(|role| {
            let args = ["key", "new", "--name", role, "--role", role, "--data-dir"];
            let made = Command::new(binary()).args(args).arg(data.path()).output().unwrap();
            let said = String::from_utf8_lossy(&made.stdout).into_owned();
            let key = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').find(|word| word.starts_with("hf_"));
            key.unwrap_or_else(|| panic!("{made:?}")).to_owned()
        });
        Self { site: Site::start(options.data_dir(data.path())), admin, viewer, storefront, _data: data }
    }
}
