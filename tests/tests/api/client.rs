//! A storefront's view of a server: calls go out, answers come back whole, whatever their status.

use crate::contract::Contract;
use holdfast_tests::server::{Options, Server};
use serde_json::Value;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use ureq::http::{HeaderMap, Request, Response};
use ureq::{Agent, Body, SendBody};

/// A server and the way to call it. The server lives as long as somebody has an `Api` of it.
#[derive(Clone)]
pub(crate) struct Api {
    agent: Agent,
    base: String,
    bearer: Option<String>,
    _server: Option<Arc<Server>>,
}

/// A response, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Api {
    /// The server that tests of one process share.
    pub(crate) fn shared() -> Self {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        Self::shared_as(&SHARED, Options::new)
    }

    /// A server that the tests of one module share: the first one starts it, the last one ends it.
    pub(crate) fn shared_as(slot: &Mutex<Weak<Server>>, options: impl FnOnce() -> Options) -> Self {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let server = slot.upgrade().unwrap_or_else(|| Arc::new(Server::start(options())));
        *slot = Arc::downgrade(&server);
        Self { _server: Some(server.clone()), ..Self::of(&server) }
    }

    /// A server that the caller keeps, and may kill.
    pub(crate) fn of(server: &Server) -> Self {
        Self::at(&server.url())
    }

    /// Whatever is served at this address.
    pub(crate) fn at(base: &str) -> Self {
        Self { agent: agent(), base: base.to_owned(), bearer: None, _server: None }
    }

    /// The same caller at the API of a server.
    pub(crate) fn beside(&self, server: &Server) -> Self {
        Self { base: server.url(), ..self.clone() }
    }

    /// The same server, with an API key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { bearer: Some(format!("Bearer {key}")), ..self.clone() }
    }

    /// The key that it shows.
    pub(crate) fn key(&self) -> &str {
        self.bearer.as_deref().and_then(|bearer| bearer.strip_prefix("Bearer ")).expect("it has a key")
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn server(&self) -> &Server {
        self._server.as_ref().expect("a shared server")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, &[], body)
    }

    /// A POST with nothing in it.
    pub(crate) fn act(&self, path: &str) -> Answer {
        self.send("POST", path, &[], Some(b""))
    }

    pub(crate) fn keyed(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.json("POST", path, &[("idempotency-key", key)], body)
    }

    pub(crate) fn json(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send(method, path, &headers, Some(body.to_string().as_bytes()))
    }

    /// Any request.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        let answer = match body {
            Some(body) => self.agent.run(self.request(method, path, headers).body(body).unwrap()),
            None => self.agent.run(self.request(method, path, headers).body(()).unwrap()),
        };
        self.described(method, path, Answer::read(answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))))
    }

    /// Any request, answered or not: for servers that are killed meanwhile.
    pub(crate) fn try_keyed(&self, path: &str, key: &str, body: &Value) -> Option<Answer> {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        let request = self.request("POST", path, &headers).body(body.to_string()).unwrap();
        let mut response = self.agent.run(request).ok()?;
        let bytes = response.body_mut().read_to_vec().ok()?;
        let answer = Answer { status: response.status().as_u16(), headers: response.headers().clone(), bytes };
        Some(self.described("POST", path, answer))
    }

    /// A request whose body is read as it goes out.
    pub(crate) fn upload(&self, path: &str, content_type: &str, mut body: impl Read) -> Answer {
        let request = self.request("POST", path, &[("content-type", content_type)]);
        let request = request.body(SendBody::from_reader(&mut body)).unwrap();
        self.described("POST", path, Answer::read(self.agent.run(request).unwrap()))
    }

    /// A response to be read bit by bit.
    pub(crate) fn open(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        self.agent.run(self.request("GET", path, headers).body(()).unwrap()).unwrap()
    }

    /// The answer, which `/openapi.json` must describe.
    fn described(&self, method: &str, path: &str, answer: Answer) -> Answer {
        let checked = Contract::of(&self.base).map_or(Ok(()), |contract| contract.check(method, path, &answer));
        checked.unwrap_or_else(|undescribed| panic!("{undescribed}"));
        answer
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> ureq::http::request::Builder {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match &self.bearer {
            Some(bearer) => request.header("authorization", bearer),
            None => request,
        }
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections_per_host(64)
        .timeout_global(Some(Duration::from_secs(120)));
    config.build().new_agent()
}

impl Answer {
    fn read(mut response: Response<Body>) -> Self {
        let bytes = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
        Self { status: response.status().as_u16(), headers: response.headers().clone(), bytes }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn is_problem(&self) -> bool {
        self.header("content-type") == Some("application/problem+json")
    }

    /// Headers and the beginning of the body.
    pub(crate) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        format!("{:?}\n{}", self.headers, text.chars().take(1000).collect::<String>())
    }

    pub(crate) fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem, if it is this one; checks that it is a whole problem document.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for member in ["type", "title", "detail", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {problem}");
        }
        let retryable = problem["retryable"].as_bool().unwrap();
        assert_eq!(self.header("retry-after").is_some(), retryable, "{problem}");
        problem
    }

    /// `invalid_request` with this pointer among its errors.
    #[track_caller]
    pub(crate) fn invalid(&self, pointer: &str) {
        let problem = self.problem(400, "invalid_request");
        let errors = problem["errors"].as_array().unwrap();
        assert!(
            errors.iter().any(|error| error["pointer"] == pointer && !error["message"].as_str().unwrap().is_empty()),
            "{problem}"
        );
    }
}
