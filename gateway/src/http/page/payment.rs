//! The hosted payment page of the sandbox.
//!
//! Invariant: it has the buttons that can still do something, and no others.

use super::escape;
use crate::providers::sandbox::{Entry, State};
use crate::wire::ids::{Attempt, Id};
use crate::wire::money;
use holdfast_engine::ids::AttemptId;

/// The contents of the page, with the link that brought the buyer there in its buttons.
pub fn page(attempt: &str, link: &str, entry: &Entry) -> String {
    format!(
        "<main class=card><h1>Sandbox payment</h1><p class=soft>For trying out: no money moves.</p><p class=amount>{}</p><dl>{}\
         <dt>Status</dt><dd><b>{}</b></dd></dl>{}{}{}</main>",
        escape(&money::shown(entry.amount, entry.currency.as_deref())),
        order(attempt),
        state(entry),
        decided(entry),
        buttons(link, entry),
        back(entry),
    )
}

/// The order that is paid, and which try it is.
fn order(attempt: &str) -> String {
    let Some(Attempt(AttemptId { order, number })) = Attempt::parse(attempt) else {
        return format!("<dt>Payment</dt><dd><code>{}</code></dd>", escape(attempt));
    };
    format!("<dt>Order</dt><dd><code>{}</code></dd><dt>Attempt</dt><dd>{number}</dd>", Id::order(order))
}

fn state(entry: &Entry) -> &'static str {
    match (entry.state, entry.silent) {
        (State::Pending, true) => "silent: the provider answers nobody",
        (State::Pending, false) => "waiting for you",
        (State::Captured, _) => "approved",
        (State::Declined, _) => "declined",
        (State::Voided, _) => "voided by the shop",
        (State::Refunded, _) => "refunded",
    }
}

/// What there is to say to a buyer who comes too late to decide.
fn decided(entry: &Entry) -> &'static str {
    match entry.state {
        State::Pending => "",
        State::Captured => "<p>This attempt is decided: it was approved, and cannot be declined any more.</p>",
        State::Declined => "<p>This attempt is decided: it was declined. A bank may still be late and approve it.</p>",
        State::Voided => "<p>This attempt is decided: the shop wants it no more. A bank may still be late and approve it.</p>",
        State::Refunded => "<p>This attempt is decided: the money was given back.</p>",
    }
}

fn buttons(link: &str, entry: &Entry) -> String {
    let button = |step: &str, label: &str, hint: &str| {
        let link = escape(link);
        format!(
            "<form method=post action=\"/sandbox/payments/{link}/{step}\"><button class={step}>{label}</button><small>{hint}</small></form>"
        )
    };
    match entry.state {
        State::Pending => [
            button("approve", "Approve", "the bank pays; a webhook tells the shop"),
            button("decline", "Decline", "the bank refuses; the buyer may try again"),
            button("silence", "No answer", "the provider goes silent until another button is pressed"),
        ]
        .concat(),
        State::Declined | State::Voided => button("approve", "Approve late", "the bank pays after all; the shop is told"),
        State::Captured | State::Refunded => String::new(),
    }
}

/// The way back for whoever did not come from a button.
fn back(entry: &Entry) -> String {
    let shop = entry.return_url.as_ref().filter(|_| entry.state != State::Pending);
    shop.map_or_else(String::new, |shop| format!("<p><a href=\"{}\">Back to the shop</a></p>", escape(shop)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::sandbox::{AttemptEvent, Store};

    /// The page after these steps of a payment.
    fn after(steps: &[AttemptEvent]) -> String {
        let attempt = format!("pay_{}-2", "0".repeat(26));
        let mut store = Store::open(None).unwrap();
        store.create(&attempt, (1999, Some("EUR".to_owned())), Some("https://shop.example/?a=1&b=\"".to_owned())).unwrap();
        for step in steps {
            store.record(&attempt, *step).unwrap();
        }
        page(&attempt, "link", store.entry(&attempt).unwrap())
    }

    #[test]
    fn a_page_offers_what_can_still_happen_and_says_what_did() {
        let cases: [(&[AttemptEvent], &str, &[&str]); 6] = [
            (&[], "waiting for you", &["approve", "decline", "silence"]),
            (&[AttemptEvent::Silenced], "silent", &["approve", "decline", "silence"]),
            (&[AttemptEvent::Approved], "it was approved", &[]),
            (&[AttemptEvent::Declined], "it was declined", &["approve"]),
            (&[AttemptEvent::Voided], "the shop wants it no more", &["approve"]),
            (&[AttemptEvent::Approved, AttemptEvent::Refunded], "the money was given back", &[]),
        ];
        for (steps, says, buttons) in cases {
            let page = after(steps);
            assert!(page.contains(says) && page.contains("19.99 EUR"), "{steps:?}: {page}");
            for step in ["approve", "decline", "silence"] {
                assert_eq!(page.contains(&format!("/link/{step}\"")), buttons.contains(&step), "{steps:?} {step}");
            }
            assert_eq!(page.contains("Back to the shop"), page.contains("This attempt is decided"), "{steps:?}");
        }
    }

    #[test]
    fn a_page_shows_its_order_and_the_way_back_as_text() {
        let page = after(&[AttemptEvent::Approved]);
        assert!(page.contains(&format!("<code>ord_{}</code></dd><dt>Attempt</dt><dd>2<", "0".repeat(26))), "{page}");
        assert!(page.contains("href=\"https://shop.example/?a=1&amp;b=&quot;\""), "{page}");
    }
}
