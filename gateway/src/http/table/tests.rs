//! The table beside the description of the API.

use super::*;
use crate::http::openapi;
use serde_json::Value;
use std::collections::BTreeSet;

/// Pages for people, and the description itself.
const UNDESCRIBED: [&str; 6] = ["/", "/openapi.json", "/problems", "/problems/{code}", "/docs", "/docs/{file}"];

fn description() -> Value {
    serde_json::from_str(openapi::json()).unwrap()
}

fn operations() -> impl Iterator<Item = (&'static str, &'static Operation)> {
    let described = TABLE.iter().filter(|route| !UNDESCRIBED.contains(&route.path) && !route.path.starts_with("/console"));
    described.flat_map(|route| route.operations.iter().map(|operation| (route.path, operation)))
}

#[test]
fn the_table_and_the_description_name_the_same_operations() {
    let description = description();
    let paths = description["paths"].as_object().unwrap().iter();
    let described: BTreeSet<(String, String)> = paths
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())))
        .collect();
    let served: BTreeSet<(String, String)> =
        operations().map(|(path, operation)| (path.to_owned(), operation.method.to_owned())).collect();
    assert_eq!(served, described);
}

#[test]
fn the_table_and_the_description_name_the_same_query_parameters() {
    let description = description();
    for (path, operation) in operations() {
        let parameters = description["paths"][path][operation.method.to_lowercase()]["parameters"].as_array().cloned();
        let described: BTreeSet<String> = parameters
            .unwrap_or_default()
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        let known: BTreeSet<String> = match operation.query {
            Query::Known(known) => known.iter().map(|known| known.name.to_owned()).collect(),
            Query::Ignored => BTreeSet::new(),
        };
        assert_eq!(known, described, "{} {path}", operation.method);
    }
}

#[test]
fn no_path_and_no_method_has_two_rows() {
    let all: Vec<_> =
        TABLE.iter().flat_map(|route| route.operations.iter().map(|operation| (route.path, operation.method))).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn the_document_says_of_each_call_that_takes_a_key_what_becomes_of_it() {
    let document = include_str!("../../../../docs/http.md");
    let said: BTreeSet<String> = document
        .lines()
        .filter(|line| line.contains(" | required | ") || line.contains(" | obeyed | "))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            format!("{} {}", cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    let word = |key| match key {
        Key::Required => Some("required"),
        Key::Obeyed => Some("obeyed"),
        Key::Unused => None,
    };
    let takes: BTreeSet<String> = operations()
        .filter_map(|(path, operation)| Some(format!("{} {path} {}", operation.method, word(operation.key)?)))
        .collect();
    assert_eq!(said, takes);
}

#[test]
fn the_methods_of_a_path_are_those_of_every_row_it_fits() {
    assert_eq!(allowed("/v1/orders"), "POST, GET, HEAD");
    assert_eq!(allowed("/v1/inventory/mug"), "GET, HEAD, PATCH");
    assert_eq!(allowed("/v1/inventory/imports"), "POST, GET, HEAD, PATCH");
    assert_eq!(allowed("/v1/orders/ord_x:cancel"), "POST");
    assert_eq!(allowed("/v1/reservations/res_x"), "GET, HEAD, DELETE");
}
