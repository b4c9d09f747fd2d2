//! axe-core finds nothing serious on any page, light or dark.
//!
//! It comes from npm in the version that is locked in `tests/console`.

use crate::browser::Browser;
use crate::looks::{Page, pages};
use crate::site::Site;
use holdfast_tests::brokers::skip;
use std::path::Path;
use std::process::Command;

/// The text of axe-core. `None` where there is no npm, or it reaches no registry.
fn axe() -> Option<String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let work = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/console/npm");
    let script = work.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        std::fs::create_dir_all(&work).unwrap();
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(lock.join(file), work.join(file)).unwrap();
        }
        let run = Command::new("npm").args(["ci", "--silent", "--ignore-scripts"]).current_dir(&work).output();
        let failed = match run {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = failed {
            skip("accessibility by axe-core", &format!("npm ci failed: {reason}"));
            return None;
        }
    }
    Some(std::fs::read_to_string(script).unwrap())
}

const FINDINGS: &str = "axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations\
                        .filter(v => v.impact === 'serious' || v.impact === 'critical')\
                        .map(v => v.id + ': ' + v.nodes.map(n => n.target.join(' ')).join(', '))), failed => done([String(failed)]))";

#[test]
fn axe_finds_nothing_serious_on_any_page() {
    let Some(browser) = Browser::start() else { return };
    let Some(axe) = axe() else { return };
    let site = Site::stocked();
    let guarded = crate::site::Guarded::start(holdfast_tests::server::Options::new());
    let mut all = pages(&site);
    all.push(Page::new("login", format!("{}/console/login", guarded.site.server.url())));
    for page in all {
        for (scheme, width) in [("light", 1280), ("dark", 320)] {
            browser.scheme(scheme);
            browser.width(width);
            page.open(&browser);
            browser.run(&axe);
            assert_eq!(browser.run_async(FINDINGS), serde_json::json!([]), "{}, {scheme}, {width}", page.name);
        }
    }
}
