//! What an admin does on the console: moves of partitions, another number of shards, other values of settings.

use crate::browser::{Browser, PATIENCE};
use crate::site::{Guarded, Site, plan_on};
use holdfast_tests::server::{Options, poll};
use serde_json::Value;

fn two_shards() -> Options {
    Options::new().env("HOLDFAST__ENGINE__SHARDS", "2").env("HOLDFAST__DATA__PARTITIONS", "8")
}

/// The shard that hosts a partition, as the API says.
fn host(site: &Site, partition: u64) -> Option<u64> {
    let hosts = |shard: &Value| shard["partitions"].as_array().is_some_and(|all| all.iter().any(|one| *one == partition));
    site.shards().iter().find(|shard| hosts(shard)).and_then(|shard| shard["shard"].as_u64())
}

#[test]
fn a_partition_is_moved_and_that_is_in_the_trail() {
    let site = Site::start(two_shards());
    let to = 1 - host(&site, 3).unwrap();
    let moved = site.form("/console/shards/move", "", &format!("partition=3&shard={to}"));
    assert_eq!((moved.status, moved.header("location")), (303, Some("/console/shards")), "{moved:?}");
    assert!(poll(PATIENCE, || (host(&site, 3) == Some(to)).then_some(())).is_some());
    let done = poll(PATIENCE, || site.get("/console/shards", &[]).text.contains("1 of 1 moves").then_some(()));
    assert!(done.is_some());
    assert!(site.get("/console/changes", &[]).whole().contains(&format!("partition 3 to shard {to}, operation 1")));
    for (form, field) in
        [("partition=8&shard=0", "partition"), ("partition=3&shard=2", "shard"), ("partition=x&shard=0", "partition")]
    {
        let refused = site.form("/console/shards/move", "", form);
        assert!(refused.status == 400 && refused.text.contains(&format!("/{field}")), "{form}: {refused:?}");
    }
}

#[test]
fn shards_become_more_once_the_plan_was_seen_and_confirmed() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::start(two_shards());
    browser.open(&format!("{}/console/shards", site.server.url()));
    browser.run("document.querySelector('#shards-wanted').focus()");
    browser.keys("4\u{e007}");
    browser.until("document.title.startsWith('Another number of shards')");
    browser.run("document.querySelector('#confirm').focus()");
    browser.keys("5\u{e007}");
    browser.until("document.querySelector('[role=alert]').textContent.includes('must be the number of shards')");
    assert_eq!(site.shards().len(), 2);
    browser.run("document.querySelector('#confirm').value = ''; document.querySelector('#confirm').focus()");
    browser.keys("4\u{e007}");
    browser.until("document.title.startsWith('Shards') && document.querySelectorAll('#shards tbody tr').length === 4");
    browser.until("document.querySelector('#operation').textContent.includes('done')");
    assert_eq!(site.shards().len(), 4);
}

#[test]
fn another_number_of_shards_is_a_setting_and_levelling_is_none() {
    let site = Site::start(two_shards());
    let planned = site.form("/console/shards/plan", "", "shards=4");
    assert!(planned.text.contains("2 shards become 4") && planned.text.contains("4 partitions move"), "{planned:?}");
    let form = format!("shards=4&confirm=4&note=for+Friday&plan={}", plan_on(&planned.text));
    assert_eq!(site.form("/console/shards/apply", "", &form.replace("=4", "=5")).code(), "plan_stale", "it is of 4");
    assert_eq!(site.form("/console/shards/apply", "", &form).status, 303);
    assert!(poll(PATIENCE, || site.get("/console/shards", &[]).text.contains("4 shards: done").then_some(())).is_some());
    let trail = site.get("/console/changes", &[]).whole();
    assert!(trail.contains("engine.shards") && trail.contains("for Friday"), "{trail}");
    let proposed = site.get("/console/settings?key=engine.shards&value=8", &[]).text;
    assert!(proposed.contains("<option selected>engine.shards</option>") && proposed.contains("value=\"8\""), "{proposed}");
    let planned = site.form("/console/settings/plan", "", "key=engine.shards&value=8");
    assert!(planned.text.contains("partitions move to another shard"), "{planned:?}");
    let offered = site.get("/console/shards", &[]).text;
    assert!(offered.contains("name=\"shards\" value=\"4\"><button>Plan how to level the 4 shards"), "{offered}");
    let level = site.form("/console/shards/plan", "", "shards=4").text;
    assert!(level.contains("stays 4") && !level.contains("name=\"plan\""), "{level}");
    assert_eq!(site.form("/console/shards/apply", "", "shards=4&confirm=4").status, 303);
    assert!(site.get("/console/changes", &[]).whole().contains("shards.level"));
    assert_eq!(site.form("/console/shards/apply", "", "shards=8&confirm=8").code(), "plan_stale", "no plan was seen");
    let refused = site.form("/console/shards/plan", "", "shards=9");
    assert!(refused.text.contains("must be 1 to 8"), "{refused:?}");
}

#[test]
fn a_viewer_moves_and_changes_nothing() {
    let guarded = Guarded::start(two_shards());
    let viewer = guarded.site.signed_in(&guarded.viewer);
    assert!(!guarded.site.get("/console/shards", &[("cookie", &viewer)]).text.contains("/console/shards/"));
    for (path, form) in [("move", "partition=0&shard=1"), ("plan", "shards=4"), ("apply", "shards=4&confirm=4")] {
        assert_eq!(guarded.site.form(&format!("/console/shards/{path}"), &viewer, form).code(), "forbidden", "{path}");
    }
    for (path, form) in [("plan", "key=engine.credits&value=9"), ("apply", "plan=x&confirm=engine.credits")] {
        assert_eq!(guarded.site.form(&format!("/console/settings/{path}"), &viewer, form).code(), "forbidden", "{path}");
    }
}

#[test]
fn a_setting_is_changed_once_its_plan_was_seen_and_confirmed() {
    let site = Site::start(Options::new());
    let value = || {
        let tuning: Value = serde_json::from_str(&site.get("/admin/v1/tuning", &[]).text).unwrap();
        let settings = tuning["settings"].as_array().unwrap().clone();
        settings.into_iter().find(|setting| setting["key"] == "engine.credits").unwrap()["value"].clone()
    };
    let planned = site.form("/console/settings/plan", "", "key=engine.credits&value=777");
    assert!(planned.status == 200 && planned.text.contains("777"), "{planned:?}");
    let plan = plan_on(&planned.text);
    assert_eq!(site.form("/console/settings/apply", "", &format!("plan={plan}&confirm=credits")).code(), "invalid_request");
    assert_ne!(value(), 777, "a plan changes nothing");
    let applied = site.form("/console/settings/apply", "", &format!("plan={plan}&confirm=engine.credits&note=for+Friday"));
    assert_eq!((applied.status, applied.header("location")), (303, Some("/console/changes")), "{applied:?}");
    assert_eq!(value(), 777);
    let trail = site.get("/console/changes", &[]).whole();
    assert!(trail.contains("engine.credits") && trail.contains("for Friday"), "{trail}");
    assert_eq!(site.form("/console/settings/apply", "", &format!("plan={plan}&confirm=engine.credits")).code(), "plan_stale");
    let wrong = site.form("/console/settings/plan", "", "key=engine.credits&value=0");
    assert!(
        wrong.status == 400 && wrong.text.contains("role=\"alert\"") && wrong.text.contains("engine.credits must be"),
        "{wrong:?}"
    );
}
