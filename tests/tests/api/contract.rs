//! The description of the API, compared with what is really answered.
//!
//! Invariant: an answer passes only if its operation names its status and content type, its body has no member that is not
//! described, and it carries the headers that the description says it always does.

pub(crate) mod calls;
mod closed;
mod provoked;
mod seen;

use crate::client::Answer;
use closed::closed;
use jsonschema::Validator;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Pages for people, and the description itself.
const PAGES: [&str; 6] = ["/", "/console", "/docs", "/openapi.json", "/problems", "/favicon.ico"];

/// Headers that any answer may carry.
const ANY: [&str; 15] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "content-length",
    "content-type",
    "date",
    "connection",
    "transfer-encoding",
    "cache-control",
    "vary",
    "referrer-policy",
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "allow",
];

pub(crate) struct Contract {
    pub(crate) description: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// One operation of the description.
pub(crate) struct Operation<'a> {
    pub(crate) id: &'a str,
    pub(crate) described: &'a Value,
}

impl Contract {
    /// The description of this build, read from the first server that gives it out. `None` while none does.
    pub(crate) fn of(base: &str) -> Option<&'static Self> {
        static CONTRACT: OnceLock<Contract> = OnceLock::new();
        if let Some(contract) = CONTRACT.get() {
            return Some(contract);
        }
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10)));
        let mut answer = config.build().new_agent().get(format!("{base}/openapi.json")).call().ok()?;
        let description = serde_json::from_slice(&answer.body_mut().read_to_vec().ok()?).ok()?;
        Some(CONTRACT.get_or_init(|| Self::new(description)))
    }

    fn new(description: Value) -> Self {
        Self { description, validators: Mutex::default() }
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = (&str, &str, Operation<'_>)> {
        let paths = self.description["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, described)| {
                (path.as_str(), method.as_str(), Operation { id: described["operationId"].as_str().unwrap(), described })
            })
        })
    }

    /// What a reference means, or the value itself if it is none.
    pub(crate) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
        target.map_or(value, |pointer| self.description.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere")))
    }

    /// The methods of the path that a request names, by the template that fits best: a SKU may have the name of another path.
    fn item(&self, path: &str, method: &str) -> Option<(&str, &Map<String, Value>)> {
        let paths = self.description["paths"].as_object()?;
        let fits = |template: &&String| fits(template, path);
        let literal = |template: &&String| {
            (paths[*template].get(method).is_none(), template.matches('{').count(), std::cmp::Reverse(template.len()))
        };
        let template = paths.keys().filter(fits).min_by_key(literal)?;
        Some((template, paths[template].as_object()?))
    }

    /// # Errors
    /// Says what of the answer is not described.
    pub(crate) fn check(&self, method: &str, target: &str, answer: &Answer) -> Result<(), String> {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let wrong = |reason: String| format!("{method} {target} answered {}: {reason}\n{}", answer.status, answer.shown());
        let lower = method.to_lowercase();
        let asked = if method == "HEAD" { "get" } else { lower.as_str() };
        let Some((template, item)) = self.item(path, asked) else { return self.off_the_map(path, answer).map_err(wrong) };
        let Some(operation) = item.get(asked) else { return self.other_method(answer).map_err(wrong) };
        let named = &operation["responses"][answer.status.to_string()];
        if named.is_null() {
            return Err(wrong(format!("{template} does not name this status")));
        }
        let response = self.resolved(named);
        self.headers(response, answer).map_err(wrong)?;
        if method == "HEAD" || answer.status == 304 {
            return Ok(());
        }
        self.body(&format!("{asked} {template} {}", answer.status), response, answer).map_err(wrong)
    }

    fn off_the_map(&self, path: &str, answer: &Answer) -> Result<(), String> {
        let page = PAGES.iter().any(|page| path == *page || path.strip_prefix(page).is_some_and(|rest| rest.starts_with('/')));
        let refused = matches!(answer.status, 403 | 404 | 421) && answer.is_problem();
        if page || refused { Ok(()) } else { Err("the path is not described".to_owned()) }
    }

    /// Of a path that is described: the method is not.
    fn other_method(&self, answer: &Answer) -> Result<(), String> {
        match answer.status {
            204 if answer.header("allow").is_some() => Ok(()),
            403 | 421 if answer.is_problem() => Ok(()),
            405 => {
                let response = &self.description["components"]["responses"]["MethodNotAllowed"];
                self.headers(response, answer)?;
                // A HEAD has none.
                if answer.bytes.is_empty() { Ok(()) } else { self.body("405", response, answer) }
            }
            _ => Err("the method is not described".to_owned()),
        }
    }

    fn headers(&self, response: &Value, answer: &Answer) -> Result<(), String> {
        let described = response["headers"].as_object().cloned().unwrap_or_default();
        for (name, header) in &described {
            let always = self.resolved(header)["required"] == true;
            if always && answer.header(&name.to_lowercase()).is_none() {
                return Err(format!("without {name}"));
            }
        }
        let known = |name: &str| ANY.contains(&name) || described.keys().any(|header| header.eq_ignore_ascii_case(name));
        match answer.headers.keys().find(|name| !known(name.as_str())) {
            Some(name) => Err(format!("the header {name} is not described")),
            None => Ok(()),
        }
    }

    fn body(&self, key: &str, response: &Value, answer: &Answer) -> Result<(), String> {
        let Some(contents) = response["content"].as_object() else {
            return if answer.bytes.is_empty() { Ok(()) } else { Err("a body where none is described".to_owned()) };
        };
        let named = answer.header("content-type").unwrap_or_default();
        let essence = named.split(';').next().unwrap_or_default().trim();
        let Some(content) = contents.get(essence) else { return Err(format!("the content type {named:?} is not described")) };
        let validator = self.validator(&format!("{key} {essence}"), &content["schema"]);
        for value in values(essence, &answer.bytes)? {
            validator.validate(&value).map_err(|error| format!("{error} at {:?}", error.instance_path().to_string()))?;
        }
        Ok(())
    }

    fn validator(&self, key: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let made = || {
            let mut whole = closed(schema);
            whole["components"] = serde_json::json!({"schemas": closed::schemas(&self.description["components"]["schemas"])});
            let built = jsonschema::options().should_validate_formats(true).build(&whole);
            Arc::new(built.unwrap_or_else(|error| panic!("the schema of {key}: {error}")))
        };
        validators.entry(key.to_owned()).or_insert_with(made).clone()
    }
}

/// The JSON values of a body: of NDJSON one a line, of text none.
fn values(essence: &str, bytes: &[u8]) -> Result<Vec<Value>, String> {
    let parse = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| error.to_string());
    match essence {
        "application/json" | "application/problem+json" => match parse(bytes) {
            // Metadata may have numbers that this reader has no type for.
            Err(error) if error.contains("number out of range") => Ok(Vec::new()),
            value => Ok(vec![value?]),
        },
        "application/x-ndjson" => bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect(),
        _ => Ok(Vec::new()),
    }
}

/// Whether a path is one of this template: a parameter fills the whole of its segment, or what is before a colon.
fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if fits_segment(wanted, given) => {}
            _ => return false,
        }
    }
}

fn fits_segment(wanted: &str, given: &str) -> bool {
    let Some((name, end)) = wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return wanted == given };
    let Some(value) = given.strip_suffix(end) else { return false };
    !value.is_empty() && (name != "id" || !value.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Api;
    use ureq::http::HeaderMap;

    fn answer(status: u16, content_type: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", content_type.parse().unwrap());
        headers.insert("x-request-id", "req_1".parse().unwrap());
        Answer { status, headers, bytes: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_path_is_of_the_template_that_fits_it() {
        for (template, path) in [
            ("/v1/orders/{id}", "/v1/orders/ord_1"),
            ("/v1/orders/{id}:cancel", "/v1/orders/ord_1:cancel"),
            ("/v1/inventory/{sku}/locations/{location}", "/v1/inventory/a:b/locations/c"),
        ] {
            assert!(fits(template, path), "{template} {path}");
        }
        for (template, path) in [
            ("/v1/orders/{id}", "/v1/orders/ord_1:cancel"),
            ("/v1/orders/{id}:cancel", "/v1/orders/a:b:cancel"),
            ("/v1/orders/{id}", "/v1/orders/"),
            ("/v1/orders/{id}", "/v1/orders/a/b"),
        ] {
            assert!(!fits(template, path), "{template} {path}");
        }
    }

    #[test]
    fn every_example_of_a_problem_is_as_its_schema_says() {
        let contract = Contract::of(Api::shared().base()).unwrap();
        let mut seen = 0;
        for (name, response) in contract.description["components"]["responses"].as_object().unwrap() {
            let content = &response["content"]["application/problem+json"];
            for (code, example) in content["examples"].as_object().into_iter().flatten() {
                let validator = contract.validator(name, &content["schema"]);
                assert_eq!(
                    (validator.validate(&example["value"]).is_ok(), &example["value"]["code"]),
                    (true, &code.as_str().into())
                );
                seen += 1;
            }
        }
        assert!(seen > 27, "{seen}");
    }

    #[test]
    fn an_answer_that_is_not_described_does_not_pass() {
        let api = Api::shared();
        let contract = Contract::of(api.base()).unwrap();
        let check = |method: &str, path: &str, answer: &Answer| contract.check(method, path, answer).is_ok();
        let alive = answer(200, "application/json", r#"{"status":"alive"}"#);
        assert!(check("GET", "/livez", &alive));
        assert!(!check("GET", "/livez", &answer(200, "application/json", r#"{"status":"alive","more":1}"#)), "a member more");
        assert!(!check("GET", "/livez", &answer(200, "application/json", r#"{"status":"dead"}"#)), "another word");
        assert!(!check("GET", "/livez", &answer(200, "application/json", "{}")), "a member less");
        assert!(!check("GET", "/livez", &answer(200, "text/plain", "alive")), "another type");
        assert!(!check("GET", "/livez", &answer(201, "application/json", r#"{"status":"alive"}"#)), "another status");
        assert!(!check("PUT", "/livez", &alive), "another method");
        assert!(!check("GET", "/alive", &alive), "another path");
        let problem = api.get("/v1/orders/ord_00000000000000000000000000");
        assert!(check("GET", "/v1/orders/x", &problem));
        assert!(!check("GET", "/livez", &problem), "a problem of another operation");
        let mut code = problem.json();
        code["code"] = "out_of_stock".into();
        assert!(!check("GET", "/v1/orders/x", &answer(404, "application/problem+json", &code.to_string())), "another code");
        assert!(!check("GET", "/v1/inventory/x", &answer(200, "application/json", "{}")), "a header less");
    }
}
