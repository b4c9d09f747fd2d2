//! The pages of the problems: an index, and for each code its meaning, its causes, its cures and an example.

mod guide;

use super::resource::resource;
use crate::http::page::{escape, html, marked};
use crate::http::problem::{Code, Problem};
use crate::wire::figures::filled;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::{Path, ServiceConfig};
use serde_json::Value;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/problems").on(Method::GET, index)).service(resource("/problems/{code}").on(Method::GET, page));
}

/// Every code of a problem.
async fn index() -> HttpResponse {
    let row = |code: &Code| {
        let (name, title, status) = (code.name(), escape(code.title()), code.status());
        format!("<tr><td><a href=\"/problems/{name}\"><code>{name}</code></a></td><td>{status}</td><td>{title}</td></tr>")
    };
    let rows: String = Code::ALL.iter().map(row).collect();
    let contents = format!(
        "<h1>Problems</h1><p>Every error is a problem document (RFC 9457) with one of these codes. A code never changes its status or \
         its meaning.</p><table class=codes><tr><th>code</th><th>status</th><th>meaning</th></tr>{rows}</table>"
    );
    html("Problems", &contents)
}

/// What a problem means and what to do about it.
async fn page(name: Path<String>) -> Result<HttpResponse, Problem> {
    let none = || Problem::new(Code::NotFound, format!("there is no problem {name}"));
    let code = Code::named(&name).ok_or_else(none)?;
    Ok(html(code.title(), &explained(code)))
}

fn explained(code: Code) -> String {
    let guide = code.guide();
    let cures: Vec<&str> = [code.advice()].into_iter().chain(guide.cures.iter().copied()).collect();
    format!(
        "<h1>{}</h1><p><code>{}</code> <span class=badge>{}</span></p><p>{}</p><h2>Why it happens</h2>{}<h2>What to do</h2>{}\
         <h2>Is a retry right?</h2><p>{}</p><h2>Example</h2><pre><code>{}</code></pre>",
        escape(code.title()),
        code.name(),
        code.status(),
        marked(guide.meaning),
        list(guide.causes),
        list(&cures),
        retry(code),
        escape(&example(code)),
    )
}

fn list(sentences: &[&str]) -> String {
    let items: String = sentences.iter().map(|sentence| format!("<li>{}</li>", marked(&filled(sentence)))).collect();
    format!("<ul>{items}</ul>")
}

fn retry(code: Code) -> &'static str {
    if code.retryable() {
        "Yes: the same request, with the same <code>Idempotency-Key</code>, after <code>Retry-After</code>."
    } else {
        "No: the same request gets the same answer. Change something first, as said above."
    }
}

/// The answer as it goes over the wire, with its body laid out to be read.
fn example(code: Code) -> String {
    let (problem, mut text) = (code.example(), String::new());
    let response = problem.document();
    text.push_str(&format!("HTTP/1.1 {}\n", response.status()));
    for (name, value) in response.headers() {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap_or_default()));
    }
    text.push_str(&format!("\n{:#}", Value::Object(problem.body())));
    text
}
