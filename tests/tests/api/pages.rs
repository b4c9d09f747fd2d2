//! The pages that people see: what they say is true, what they load is ours, and browsers are told so.

use crate::client::{Answer, Api};
use crate::shop::{becomes, paying, place, stocked};
use holdfast_tests::server::{Options, Server};
use serde_json::Value;
use std::process::Command;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// What a browser gets.
fn open(api: &Api, path: &str) -> Answer {
    api.send("GET", path, &[("accept", BROWSER)], None)
}

/// The texts of a page that are there to be copied.
pub(crate) fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("<pre><code>").skip(1).filter_map(|rest| rest.split("</code></pre>").next());
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    blocks.map(|block| entities.iter().fold(block.to_owned(), |text, (entity, plain)| text.replace(entity, plain))).collect()
}

/// What a page loads or leads to: the values of its src, href and action.
fn links(page: &str) -> Vec<String> {
    let values = ["src=\"", "href=\"", "action=\""].into_iter().flat_map(|name| page.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn payment_page(api: &Api) -> String {
    let placed = place(api, &paying(&stocked(api, 1), 1));
    format!("/sandbox/payments/{}", placed["payment"]["attempt_id"].as_str().unwrap())
}

/// The directives that every page of ours has, whatever else its policy says.
#[track_caller]
fn guarded(page: &Answer, referrer: &str) -> String {
    let policy = page.header("content-security-policy").unwrap().to_owned();
    for directive in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.split("; ").any(|part| part == directive), "no {directive} in {policy}");
    }
    for open in ["unsafe-inline", "unsafe-eval", "unsafe-hashes", "http:", "https:", "*"] {
        assert!(!policy.contains(open), "{open} in {policy}");
    }
    let others = ["x-content-type-options", "x-frame-options", "referrer-policy"].map(|name| page.header(name).unwrap());
    assert_eq!(others, ["nosniff", "DENY", referrer]);
    policy
}

#[test]
fn every_page_carries_its_policy_and_loads_nothing_from_elsewhere() {
    let api = Api::shared();
    let payment = payment_page(&api);
    let pages = [
        ("/", "no-referrer"),
        ("/problems", "no-referrer"),
        ("/problems/out_of_stock", "no-referrer"),
        ("/docs/", "no-referrer"),
        (payment.as_str(), "same-origin"),
    ];
    for (path, referrer) in pages {
        let page = open(&api, path);
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        let policy = guarded(&page, referrer);
        // The sandbox sends its buyer back to the shop, wherever that is.
        assert_eq!(policy.contains("form-action 'none'"), path != payment, "{path}: {policy}");
        let text = page.text();
        assert!(text.contains("name=viewport") || text.contains("name=\"viewport\""), "{path} is not made for phones");
        for link in links(&text) {
            assert!(!link.contains("//") || link.starts_with("data:"), "{path} leads to {link}");
        }
        for inline in ["style=", "onclick=", "<script>"] {
            assert!(!text.contains(inline), "{path} has {inline}, which its policy forbids");
        }
    }
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let api = Api::shared();
    for path in ["/", "/problems", "/problems/internal", "/docs/"] {
        let inside = links(&open(&api, path).text()).into_iter().filter(|link| !link.starts_with("data:"));
        let absolute = inside.map(|link| if link.starts_with('/') { link } else { format!("{path}{link}") });
        for link in absolute {
            assert_eq!(open(&api, &link).status, 200, "{link} on {path}");
        }
    }
}

#[test]
fn the_page_to_try_the_api_has_its_files_from_here_and_serves_no_others() {
    let api = Api::shared();
    assert_eq!(open(&api, "/docs").header("location"), Some("/docs/"));
    let page = open(&api, "/docs/").text();
    let here = |link: &String| !link.starts_with('/') && !link.starts_with("data:");
    let files: Vec<String> = links(&page).into_iter().filter(here).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let answer = open(&api, &format!("/docs/{file}"));
        let kind = if file.ends_with(".css") { "text/css" } else { "text/javascript" };
        assert!(answer.status == 200 && answer.header("content-type").unwrap().starts_with(kind), "{file}");
        guarded(&answer, "no-referrer");
    }
    let start = open(&api, "/docs/docs.js").text();
    assert!(start.contains("\"/openapi.json\"") && !start.contains("://"), "{start}");
    assert!(start.contains("validatorUrl: null"), "a validator of another host is asked");
    // The start of Swagger UI's own distribution shows an API of another host.
    for other in ["swagger-initializer.js", "index.html", "oauth2-redirect.html", "../openapi.json", "x"] {
        api.get(&format!("/docs/{other}")).problem(404, "not_found");
    }
}

#[test]
fn the_description_can_be_tried_orders_first_with_a_key_and_all_parameters_in_their_place() {
    let description = Api::shared().get("/openapi.json").ok(200);
    let tags: Vec<&str> = description["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(tags, ["orders", "reservations", "stock", "payments", "sandbox", "events", "admin", "health"]);
    let schemes = description["components"]["securitySchemes"].as_object().unwrap();
    assert!(schemes.values().any(|scheme| scheme["type"] == "http" && scheme["scheme"] == "bearer"), "{schemes:?}");
    for (path, calls) in description["paths"].as_object().unwrap() {
        for call in calls.as_object().unwrap().values().filter(|call| call.is_object()) {
            let known = call["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag.as_str().unwrap()));
            assert!(known, "a tag of {path} has no place in the order");
            for parameter in call["parameters"].as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "path") {
                let name = parameter["name"].as_str().unwrap();
                assert!(path.contains(&format!("{{{name}}}")), "{name} is not in {path}");
            }
        }
    }
    let place = |name: &str| {
        let parameters = description["paths"]["/v1/events"]["get"]["parameters"].as_array().unwrap();
        parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["in"].clone()
    };
    assert_eq!([place("after"), place("limit")], ["query", "query"]);
}

/// The example as Swagger UI takes it: the first of the schema.
fn order_example(api: &Api) -> Value {
    let description = api.get("/openapi.json").ok(200);
    let content = &description["paths"]["/v1/orders"]["post"]["requestBody"]["content"]["application/json"];
    let schema = content["schema"]["$ref"].as_str().unwrap().trim_start_matches('#');
    description.pointer(schema).unwrap()["examples"][0].clone()
}

#[test]
fn the_example_of_an_order_succeeds_when_it_is_sent_to_a_demo_server() {
    let server = Server::start(Options::new().demo());
    let api = Api::of(&server);
    let example = order_example(&api);
    assert_eq!(api.keyed("/v1/orders", "try-1", &example).ok(201)["status"], "awaiting_payment", "{example}");
    api.keyed("/v1/orders", "try-2", &example).ok(201);
}

/// Pastes the commands of the start page into a shell, one after the other: what they answered.
fn pasted(api: &Api, key: &str) -> Vec<Value> {
    let texts = commands(&open(api, "/").text());
    let run = |text: String| {
        let output = Command::new("sh").args(["-c", &text.replace("hf_YOUR_KEY", key)]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{text}\n{error}: {said:?}"))
    };
    texts.into_iter().map(run).collect()
}

#[test]
fn the_order_of_the_start_page_succeeds_when_it_is_pasted() {
    let server = Server::start(Options::new().demo());
    let answers = pasted(&Api::of(&server), "");
    let [placed] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(placed["status"], "payment_in_flight", "{placed}");
    assert!(placed["payment"]["redirect_url"].is_string(), "{placed}");
}

#[test]
fn where_there_is_no_demo_stock_the_start_page_begins_with_it() {
    let server = Server::start(Options::new());
    let answers = pasted(&Api::of(&server), "");
    let [stocked, placed] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!([&stocked["sku"], &placed["lines"][0]["sku"]], ["DEMO-SHIRT", "DEMO-SHIRT"]);
    assert!(placed["id"].as_str().unwrap().starts_with("ord_"), "{placed}");
    assert_eq!(commands(&open(&Api::of(&server), "/").text()).len(), 1, "now there is stock");
}

#[test]
fn the_start_page_of_a_server_with_keys_says_where_the_key_goes() {
    let mut server = Server::prepare(Options::new().demo());
    let dir = server.data_dir().display().to_string();
    let (made, said) = server.run(&["key", "new", "--data-dir", &dir, "--json"]);
    assert!(made.success());
    server.restart();
    let key = serde_json::from_str::<Value>(&said).unwrap()["key"].as_str().unwrap().to_owned();
    let answers = pasted(&Api::of(&server), &key);
    assert_eq!(answers.last().unwrap()["status"], "awaiting_payment", "{answers:?}");
    assert!(open(&Api::of(&server), "/").text().contains("API key is required"));
}

#[test]
fn the_start_page_names_the_address_by_which_it_was_reached() {
    let api = Api::shared();
    let port = api.server().address().rsplit(':').next().unwrap().to_owned();
    let shown = |host: &str| api.send("GET", "/", &[("accept", BROWSER), ("host", host)], None).text();
    let other = format!("localhost:{port}");
    assert!(shown(&other).contains(&format!("curl -s http://{other}/v1/orders")));
}

#[test]
fn the_servers_own_address_answers_a_browser_with_a_page_and_a_program_with_an_index() {
    let api = Api::shared();
    let index = api.get("/").ok(200);
    assert_eq!(index["name"], "Holdfast");
    let paths = index.as_object().unwrap().values().filter_map(|path| path.as_str().filter(|path| path.starts_with('/')));
    assert!(paths.map(|path| api.get(path).status).all(|status| status == 200), "{index}");
    let programs = ["*/*", "application/json", "application/json, text/plain, */*", "text/html;q=0.2, application/json;q=0.9"];
    for accept in programs {
        let answer = api.send("GET", "/", &[("accept", accept)], None);
        assert_eq!((answer.ok(200), answer.header("vary")), (index.clone(), Some("Accept")), "{accept}");
    }
    for accept in [BROWSER, "text/html", "application/json;q=0.5, text/html;q=0.9"] {
        let page = api.send("GET", "/", &[("accept", accept)], None);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{accept}");
        assert_eq!(page.header("vary"), Some("Accept"));
    }
}

#[test]
fn the_payment_page_names_its_order_and_says_when_it_is_decided() {
    let api = Api::shared();
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let (order, path) = (placed["id"].as_str().unwrap(), placed["payment"]["attempt_id"].as_str().unwrap());
    let path = format!("/sandbox/payments/{path}");
    let before = open(&api, &path).text();
    assert!(before.contains(order) && before.contains("2.50 EUR") && before.contains("waiting for you"), "{before}");
    api.act(&format!("{path}/approve")).ok(200);
    becomes(&api, &format!("/v1/orders/{order}"), "confirmed");
    let after = open(&api, &path).text();
    assert!(after.contains("This attempt is decided") && !after.contains("<button"), "{after}");
}
