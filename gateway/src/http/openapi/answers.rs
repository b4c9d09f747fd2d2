//! What operations answer beside what their routes say: problems, unknown outcomes, headers. One row an operation; what holds
//! for all that read a body is said once, and what follows from the table of routes is taken from it ([`rules`]).
//!
//! Invariant: a code stands under its own status, and only where it can happen.

mod headers;
mod rules;

use crate::http::problem::Code;
use headers::Header;
use rules::Rules;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::Modify;
use utoipa::openapi::example::Example;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{HttpMethod, Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Components, Content, ContentBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};

use Code::*;

pub(super) struct Answers;

/// What one operation answers.
struct Row {
    operation: &'static str,
    codes: &'static [&'static [Code]],
    /// Of its success.
    headers: &'static [Header],
    more: &'static [More],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    /// It changes something by way of the engine: what became of it may be unknown.
    Mutates,
    /// It may be a replay of the first answer under its key.
    Replays,
    /// Nobody asks for a key.
    Open,
    /// Its body may be left out.
    BodyOptional,
    /// Its body comes in pieces, and what is wrong with them is told in the answer.
    BodyStreams,
}

use Header::{ETag, Location};
use More::{BodyOptional, BodyStreams, Mutates, Open, Replays};

const fn row(
    operation: &'static str,
    codes: &'static [&'static [Code]],
    headers: &'static [Header],
    more: &'static [More],
) -> Row {
    Row { operation, codes, headers, more }
}

/// The engine does not take it.
const ENGINE: &[Code] = &[Overloaded, DurabilityUnavailable, Internal];
/// The journal or the tables are read.
const READS: &[Code] = &[DurabilityUnavailable, Internal];
const PLACES: &[Code] = &[OutOfStock, TooManyLocations, ReservationExpired, InvalidTransition, IdempotencyInProgress, UnknownSku];
const MOVES: &[Code] = &[NotFound, InvalidTransition];
/// Nobody asks for a key there, and one that comes all the same must be right.
const WRONG_KEY: &[Code] = &[Unauthorized];
/// Where storefronts reach only their own orders.
const OWN: &[Code] = &[Forbidden];
/// Under a key: its first request may not be answered yet.
const KEYED: &[Code] = &[IdempotencyInProgress];

const ROWS: [Row; 41] = [
    row("place_order", &[PLACES, ENGINE, &[TotalsMismatch, ProviderUnavailable, Paused]], &[Location, ETag], &[Mutates, Replays]),
    row("list_orders", &[&[CursorNotOfThisHistory], ENGINE], &[], &[]),
    row("get_order", &[&[NotFound], ENGINE, OWN], &[ETag], &[]),
    row("get_order_timeline", &[&[NotFound], ENGINE, OWN], &[], &[]),
    row("cancel_order", &[MOVES, KEYED, ENGINE], &[ETag], &[Mutates, BodyOptional]),
    row("confirm_order", &[MOVES, KEYED, &[ReservationExpired], ENGINE], &[ETag], &[Mutates, BodyOptional]),
    row(
        "pay_order",
        &[MOVES, ENGINE, &[ReservationExpired, IdempotencyInProgress, ProviderUnavailable]],
        &[Location],
        &[Mutates, Replays],
    ),
    row("place_reservation", &[PLACES, ENGINE, &[Paused]], &[Location, ETag], &[Mutates, Replays]),
    row("place_reservations", &[], &[], &[]),
    row("get_reservation", &[&[NotFound], ENGINE, OWN], &[ETag], &[]),
    row("release_reservation", &[MOVES, KEYED, ENGINE], &[], &[Mutates]),
    row("commit_reservation", &[MOVES, KEYED, &[ReservationExpired], ENGINE], &[ETag], &[Mutates, BodyOptional]),
    row("extend_reservation", &[MOVES, KEYED, &[ReservationExpired, LimitReached], ENGINE], &[ETag], &[Mutates, BodyOptional]),
    row("set_stock", &[&[CountBelowTaken, LimitReached], ENGINE], &[ETag], &[Mutates]),
    row("adjust_stock", &[&[UnknownSku, CountBelowTaken, OutOfStock, LimitReached], ENGINE], &[ETag], &[Mutates, Replays]),
    row("close_location", &[&[NotFound, LocationInUse], ENGINE], &[ETag], &[Mutates]),
    row("list_stock", &[&[CursorNotOfThisHistory], ENGINE], &[], &[]),
    row("get_stock", &[&[NotFound], ENGINE], &[ETag], &[]),
    row("set_stock_threshold", &[&[NotFound], ENGINE], &[ETag], &[Mutates]),
    row("list_movements", &[&[NotFound, CursorNotOfThisHistory, Overloaded], READS], &[], &[]),
    row("query_availability", &[ENGINE], &[], &[]),
    row("import_stock", &[], &[], &[BodyStreams]),
    row("receive_sandbox_webhook", &[&[Unauthorized, DurabilityUnavailable, Internal]], &[], &[Open]),
    row("show_sandbox_payment", &[&[NotFound], WRONG_KEY, OWN], &[], &[Open]),
    row("press_sandbox_button", &[&[NotFound, Internal, Forbidden], WRONG_KEY], &[], &[Open]),
    row("list_events", &[&[CursorNotOfThisHistory, CursorExpired], READS, OWN], &[], &[]),
    row("stream_events", &[&[CursorNotOfThisHistory, CursorExpired, Overloaded], READS, OWN], &[], &[]),
    row("list_shards", &[&[DurabilityUnavailable]], &[], &[]),
    row("move_partition", &[&[NotFound, OperationRunning, DurabilityUnavailable]], &[], &[]),
    row("get_operation", &[&[NotFound, DurabilityUnavailable]], &[], &[]),
    row("run_audit", &[&[Overloaded], READS], &[], &[]),
    row("make_backup", &[&[BackupUnavailable, BackupInProgress, InsufficientStorage, ShuttingDown], READS], &[], &[]),
    row("get_frame", &[], &[], &[]),
    row("get_tuning", &[READS], &[], &[]),
    row("plan_tuning", &[], &[], &[]),
    row("apply_tuning", &[&[PlanStale, OperationRunning], READS], &[], &[Mutates]),
    row("list_changes", &[READS], &[], &[]),
    row("livez", &[], &[], &[Open]),
    row("readyz", &[], &[], &[Open]),
    row("metrics", &[], &[], &[Open]),
    row("get_limits", &[WRONG_KEY], &[], &[Open]),
];

impl Row {
    fn of(operation: &Operation) -> Option<&'static Row> {
        ROWS.iter().find(|row| Some(row.operation) == operation.operation_id.as_deref())
    }

    fn is(&self, more: More) -> bool {
        self.more.contains(&more)
    }

    /// Every code it answers, under its status.
    fn codes(&self, operation: &Operation, rules: &Rules) -> BTreeMap<u16, Vec<Code>> {
        let mut codes: Vec<Code> = self.codes.concat();
        codes.push(MisdirectedRequest);
        codes.extend(rules.codes(self.is(BodyStreams)));
        if !self.is(Open) {
            codes.push(Unauthorized);
        }
        if operation.request_body.is_some() {
            codes.extend(self.codes_of_body());
        }
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in Code::ALL.iter().filter(|code| codes.contains(code)) {
            by_status.entry(code.status()).or_default().push(*code);
        }
        by_status
    }

    fn codes_of_body(&self) -> Vec<Code> {
        let read = (!self.is(BodyStreams)).then_some([RequestTimeout, TooLarge, Overloaded, ShuttingDown]);
        read.into_iter().flatten().collect()
    }
}

impl Modify for Answers {
    fn modify(&self, description: &mut OpenApi) {
        let components = description.components.get_or_insert_default();
        headers::add_to(components);
        components.responses.insert(UNKNOWN.to_owned(), unknown().into());
        // Of methods that are not described: no operation answers it.
        refuse(components, &[MethodNotAllowed], false);
        for (path, item) in &mut description.paths.paths {
            for (method, operation) in operations(item) {
                if let (Some(row), Some(rules)) = (Row::of(operation), Rules::of(path, &method)) {
                    answer(components, row, &rules, operation);
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [
        (HttpMethod::Get, get),
        (HttpMethod::Put, put),
        (HttpMethod::Post, post),
        (HttpMethod::Delete, delete),
        (HttpMethod::Patch, patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn answer(components: &mut Components, row: &Row, rules: &Rules, operation: &mut Operation) {
    let codes = row.codes(operation, rules);
    let replays = row.is(Replays) || (rules.takes_key() && !row.is(BodyStreams));
    rules.take_headers(operation);
    operation.security = Some(rules.keys().map(super::keys_of).unwrap_or_default());
    if row.is(BodyOptional)
        && let Some(RefOr::T(body)) = &mut operation.request_body
    {
        body.required = Some(Required::False);
    }
    succeed(row, rules, replays, operation);
    if rules.not_modified() {
        let mut unchanged = ResponseBuilder::new().description("It has the version that `If-None-Match` names.").build();
        headers::carry(&mut unchanged, &[Header::RequestId, ETag]);
        headers::carry(&mut unchanged, &headers::LIMITED);
        operation.responses.responses.insert("304".to_owned(), unchanged.into());
    }
    let responses = &mut operation.responses.responses;
    if row.is(Mutates) {
        responses.insert("202".to_owned(), Ref::from_response_name(UNKNOWN).into());
    }
    for (status, codes) in codes {
        let name = refuse(components, &codes, replays);
        let both = responses.remove(&status.to_string());
        let refused = both.map_or_else(|| Ref::from_response_name(&name).into(), |other| joined(components, &name, other));
        responses.insert(status.to_string(), refused);
    }
}

/// What its own responses carry.
fn succeed(row: &Row, rules: &Rules, replays: bool, operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let mut carried = vec![Header::RequestId];
        match status.as_str() {
            "303" => carried.push(Location),
            "503" => carried.push(Header::RetryAfter),
            _ => carried.extend(row.headers),
        }
        if replays {
            carried.push(Header::Replayed);
        }
        if rules.limited() {
            carried.extend(headers::LIMITED);
        }
        if rules.traced() {
            carried.push(Header::TraceId);
        }
        headers::carry(response, &carried);
    }
}

/// A response whose status is also that of problems: either body may come.
fn joined(components: &Components, name: &str, other: RefOr<Response>) -> RefOr<Response> {
    let (RefOr::T(mut response), Some(RefOr::T(problem))) = (other, components.responses.get(name)) else {
        return Ref::from_response_name(name).into();
    };
    response.content.extend(problem.content.clone());
    response.into()
}

const UNKNOWN: &str = "OutcomeUnknown";
const PROBLEM: &str = "application/problem+json";

/// The 202 of whatever changes something.
fn unknown() -> Response {
    let body = Content::new(Some(Ref::from_schema_name(UNKNOWN)));
    let words = "It may have happened: look at `location`, or send the same request with the same key again.";
    let mut response = ResponseBuilder::new().description(words).content("application/json", body).build();
    headers::carry(&mut response, &[Header::RequestId, Location, Header::RetryAfter]);
    headers::carry(&mut response, &headers::LIMITED);
    response
}

/// The name of the response that is one of these problems, made when it is first needed.
fn refuse(components: &mut Components, codes: &[Code], replays: bool) -> String {
    let replays = replays && codes.iter().any(|code| code.is_kept());
    let named: Vec<String> = codes.iter().map(|code| code.pascal()).collect();
    let name = format!("{}{}", named.join("Or"), if replays { "Replayed" } else { "" });
    components.responses.entry(name.clone()).or_insert_with(|| problem(codes, replays).into());
    name
}

fn problem(codes: &[Code], replays: bool) -> Response {
    let words: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.name(), code.title())).collect();
    let mut response = ResponseBuilder::new().description(words.join(" ")).content(PROBLEM, content(codes)).build();
    let mut carried = vec![Header::RequestId, Header::RateLimit, Header::RateLimitPolicy];
    carried.extend(codes.contains(&Unauthorized).then_some(Header::Authenticate));
    carried.extend(codes.iter().any(|code| code.retryable()).then_some(Header::RetryAfter));
    carried.extend(replays.then_some(Header::Replayed));
    carried.extend(codes.contains(&MethodNotAllowed).then_some(Header::Allow));
    carried.extend(codes.contains(&UnsupportedMediaType).then_some(Header::AcceptEncoding));
    headers::carry(&mut response, &carried);
    response
}

fn content(codes: &[Code]) -> Content {
    let names = codes.iter().map(|code| code.name());
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    // Beside the reference, not in `allOf`: generators then make one class of problems, not one for each status of each operation.
    let problem = Extensions::from_iter([("$ref", "#/components/schemas/Problem")]);
    let schema = ObjectBuilder::new().schema_type(SchemaType::AnyValue).property("code", code).extensions(Some(problem));
    let examples = codes.iter().map(|code| (code.name(), example(*code)));
    ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build()
}

fn example(code: Code) -> Example {
    let mut example = Example::new();
    example.value = Some(Value::Object(code.example().body()));
    example
}

impl Code {
    /// Kept with the key of the request, and answered again under it.
    fn is_kept(self) -> bool {
        matches!(self, OutOfStock | TooManyLocations | UnknownSku | CountBelowTaken)
            || matches!(self, InvalidTransition | ReservationExpired | LimitReached)
    }

    /// Its name as that of a component.
    fn pascal(self) -> String {
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        self.name().split('_').map(capital).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_row_and_every_row_its_operation() {
        let mut description = crate::http::openapi::described();
        let mut described: Vec<String> = Vec::new();
        for item in description.paths.paths.values_mut() {
            described.extend(operations(item).map(|(_, operation)| operation.operation_id.clone().unwrap()));
        }
        let mut rows: Vec<&str> = ROWS.iter().map(|row| row.operation).collect();
        described.sort_unstable();
        rows.sort_unstable();
        assert_eq!(described, rows);
    }
}
