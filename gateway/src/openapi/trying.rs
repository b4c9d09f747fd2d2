//! What makes the description one that can be tried on `/docs`: the order of its parts, how to authorize, an order that succeeds.
//!
//! Invariant: it fills in what the description does not say, and changes nothing that it says.

use crate::demo;
use utoipa::Modify;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{OpenApi, RefOr};

/// Every tag, in the order in which a reader needs them.
const TAGS: [(&str, &str); 8] = [
    ("orders", "Place an order, follow it, pay, confirm or cancel it."),
    ("reservations", "Hold stock without an order."),
    ("stock", "What is there, what is free, and every movement of it."),
    ("payments", "What payment providers tell the server."),
    ("sandbox", "A payment provider to try with: no money moves."),
    ("events", "Everything that happened, in order."),
    ("admin", "Look inside, and check the books."),
    ("health", "Is it alive, is it ready, what are its limits."),
];

const BEARER: &str = "bearer";

pub(super) struct Trying;

impl Modify for Trying {
    fn modify(&self, description: &mut OpenApi) {
        let tags = TAGS.map(|(name, meaning)| TagBuilder::new().name(name).description(Some(meaning)).build());
        description.tags.get_or_insert_with(|| tags.into());
        authorize(description);
        give_order(description);
    }
}

/// A server without keys takes no notice of one, so it may be left out.
fn authorize(description: &mut OpenApi) {
    let schemes = &mut description.components.get_or_insert_default().security_schemes;
    if schemes.is_empty() {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A key made by `holdfast key new`."));
        schemes.insert(BEARER.to_owned(), RefOr::T(SecurityScheme::Http(scheme.build())));
        let either = vec![SecurityRequirement::default(), SecurityRequirement::new(BEARER, Vec::<String>::new())];
        description.security.get_or_insert(either);
    }
}

/// The example of POST /v1/orders is an order of demo stock.
fn give_order(description: &mut OpenApi) {
    let place = description.paths.paths.get_mut("/v1/orders").and_then(|path| path.post.as_mut());
    let Some(RefOr::T(body)) = place.and_then(|place| place.request_body.as_mut()) else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && content.example.is_none()
            && content.examples.is_empty()
        {
            content.example = serde_json::from_str(&demo::order(None)).ok();
        }
    }
}
