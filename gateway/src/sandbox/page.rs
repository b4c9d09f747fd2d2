//! The hosted payment page of the sandbox.

use super::{Entry, State};
use crate::money;

/// The page as HTML, with the link that brought the buyer there in its buttons. Works without scripts and without the network.
pub fn page(attempt: &str, link: &str, entry: &Entry) -> String {
    let amount = money::shown(entry.amount, entry.currency.as_deref());
    let state = match (entry.state, entry.silent) {
        (State::Pending, true) => "silent: the provider answers nobody",
        (State::Pending, false) => "waiting for you",
        (State::Captured, _) => "approved",
        (State::Declined, _) => "declined",
        (State::Voided, _) => "voided by the shop",
        (State::Refunded, _) => "refunded",
    };
    let button = |step: &str, label: &str, hint: &str| {
        format!(
            "<form method=post action=\"/sandbox/payments/{link}/{step}\"><button class={step}>{label}</button><small>{hint}</small></form>"
        )
    };
    let buttons = [
        button("approve", "Approve", "the bank pays; a webhook tells the shop"),
        button("decline", "Decline", "the bank refuses; the buyer may try again"),
        button("silence", "No answer", "the provider goes silent until another button is pressed"),
    ];
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>Sandbox payment</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem;color:#1c2330}}\
         h1{{font-size:1.1rem;font-weight:600;margin:0}}.amount{{font-size:2.6rem;font-weight:700;margin:.2rem 0}}\
         code{{font-size:.8rem;color:#5b6678;word-break:break-all}}form{{display:flex;gap:1rem;align-items:center;margin:.8rem 0}}\
         button{{font:inherit;font-weight:600;border:0;border-radius:.5rem;padding:.6rem 1.2rem;min-width:9rem;color:#fff;cursor:pointer}}\
         .approve{{background:#157347}}.decline{{background:#b02a37}}.silence{{background:#5b6678}}small{{color:#5b6678}}</style>\
         <h1>Sandbox payment</h1><p class=amount>{amount}</p><p>Status: <b>{state}</b></p>{}<code>{attempt}</code></html>",
        buttons.concat()
    )
}
