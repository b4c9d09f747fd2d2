//! By keyboard alone: sign in, skip the navigation, start an audit, find an order, sign out.

use crate::browser::Browser;
use crate::site::Guarded;
use holdfast_tests::server::Options;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Goes on until what has this text, or this id, has the focus; where it is must be seen.
#[track_caller]
fn go_to(browser: &Browser, what: &str) {
    for _ in 0..40 {
        browser.keys(TAB);
        let at = browser.run("const e = document.activeElement; return [e.textContent.trim(), e.id]");
        if at[0] == what || at[1] == what {
            let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle");
            assert_ne!(outline, "none", "the focus on {what} is not seen");
            return;
        }
    }
    panic!("{what} cannot be reached by keyboard");
}

#[test]
fn everything_can_be_done_by_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let guarded = Guarded::start(Options::new());
    guarded.site.fill(&[("authorization", &format!("Bearer {}", guarded.admin))]);
    browser.open(&format!("{}/console", guarded.site.server.url()));
    browser.keys(&format!("{}{ENTER}", guarded.admin));
    browser.until("document.title.startsWith('Overview')");
    browser.keys(TAB);
    assert_eq!(browser.run("return document.activeElement.textContent"), "Skip to content", "it comes first");
    browser.keys(ENTER);
    browser.until("document.activeElement.id === 'main'");
    browser.open(&browser.url().replace("#main", ""));
    go_to(&browser, "Audit");
    browser.keys(ENTER);
    browser.until("document.title.startsWith('Audit')");
    go_to(&browser, "Start an audit");
    browser.keys(ENTER);
    browser.until("document.querySelector('#audit').textContent.includes('Every invariant holds')");
    go_to(&browser, "Orders");
    browser.keys(ENTER);
    browser.until("document.title.startsWith('Orders')");
    go_to(&browser, "by");
    browser.keys("C");
    browser.keys(TAB);
    browser.keys(&format!("ada{ENTER}"));
    browser.until("document.querySelector('#found tbody').rows.length === 3");
    go_to(&browser, "Sign out");
    browser.keys(ENTER);
    browser.until("document.title.startsWith('Sign in')");
}
