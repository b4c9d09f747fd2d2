//! Knobs of a running server: planned, turned, journalled with who and why, and there after a restart.

use crate::auth::key_of;
use crate::client::{Answer, Api};
use crate::operators::{Operators, apart};
use crate::shop::{PATIENCE, fresh, id, order, paying, post, put, reservation, with};
use holdfast_tests::server::{Options, Server, binary, poll};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// What would be changed.
pub(crate) fn plan(api: &Api, changes: &Value) -> Value {
    api.post("/admin/v1/tuning:plan", &json!({"changes": changes})).ok(200)
}

pub(crate) fn apply(api: &Api, plan: &Value) -> Answer {
    api.post("/admin/v1/tuning:apply", &json!({"plan": plan["plan"], "note": "for the sale"}))
}

pub(crate) fn tune(api: &Api, changes: &Value) -> Value {
    apply(api, &plan(api, changes)).ok(200)
}

/// One setting, as the server shows it.
pub(crate) fn setting(api: &Api, key: &str) -> Value {
    let shown = api.get("/admin/v1/tuning").ok(200);
    let found = shown["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == key).cloned();
    found.unwrap_or_else(|| panic!("{key} is not shown"))
}

pub(crate) fn own() -> (Server, Api) {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    (server, api)
}

#[test]
fn a_plan_changes_nothing_and_one_that_is_applied_counts_at_once_and_after_a_restart() {
    let (mut server, api) = own();
    let planned = plan(&api, &json!({"engine.credits": 500, "orders.ttl_seconds": 60, "log.level": "info"}));
    let diff = planned["diff"].as_array().unwrap();
    assert_eq!(diff.len(), 2, "{planned}");
    assert_eq!((&diff[0]["key"], &diff[0]["from"], &diff[0]["to"]), (&json!("engine.credits"), &json!(32768), &json!(500)));
    assert_eq!(setting(&api, "engine.credits")["value"], 32_768);
    assert_eq!(api.get("/v1/limits").ok(200)["hold_seconds"]["default"], 900);

    let applied = apply(&api, &planned).ok(200);
    assert_eq!(applied["changes"][0]["number"], 1);
    for _ in 0..2 {
        let shown = setting(&api, "engine.credits");
        assert_eq!((&shown["value"], &shown["change"], &shown["wanted"]), (&json!(500), &json!("live"), &Value::Null));
        assert!(shown["origin"].as_str().unwrap().starts_with("tuning.toml: change 1, 20"), "{shown}");
        assert_eq!(api.get("/admin/v1/shards").ok(200)["shards"][0]["limit"], 500);
        assert_eq!(api.get("/v1/limits").ok(200)["hold_seconds"]["default"], 60);
        server.kill();
        server.restart();
    }
    let history = api.get("/admin/v1/changes").ok(200);
    let items: Vec<_> = history["items"].as_array().unwrap().iter().map(|item| (&item["number"], &item["what"])).collect();
    assert_eq!(items, [(&json!(2), &json!("orders.ttl_seconds")), (&json!(1), &json!("engine.credits"))]);
    let last = &history["items"][0];
    assert_eq!((&last["before"], &last["after"], &last["note"]), (&json!("900"), &json!("60"), &json!("for the sale")));

    tune(&api, &json!({"engine.credits": null}));
    let shown = setting(&api, "engine.credits");
    assert_eq!((&shown["value"], &shown["origin"], &shown["wanted"]), (&json!(32768), &json!("default"), &Value::Null));
    assert!(server.terminate().success());
    assert!(server.verify().0);
}

#[test]
fn each_key_that_cannot_be_so_is_named_and_a_plan_is_for_what_it_was_made_on() {
    let (_server, api) = own();
    let refused =
        api.post("/admin/v1/tuning:plan", &json!({"changes": {"engine.credits": 0, "server.listen": "x", "nothing": 1}}));
    let refused = refused.problem(400, "invalid_request");
    let pointers: Vec<&Value> = refused["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/changes/nothing", "/changes/server.listen", "/changes/engine.credits"]);
    let (first, second) = (plan(&api, &json!({"engine.credits": 11})), plan(&api, &json!({"engine.credits": 12})));
    apply(&api, &first).ok(200);
    apply(&api, &second).problem(409, "plan_stale");
    apply(&api, &first).problem(409, "plan_stale");
    assert_eq!(api.get("/admin/v1/changes").ok(200)["items"].as_array().unwrap().len(), 1);
}

#[test]
fn while_orders_are_paused_what_is_placed_goes_on_and_nothing_new_is_executed() {
    let (_server, api) = own();
    put(&api, "MUG", "berlin", 10);
    let [key, held_key] = [fresh("key"), fresh("key")];
    let placed = api.keyed("/v1/orders", &key, &order("MUG", 1)).ok(201);
    let held = api.keyed("/v1/reservations", &held_key, &reservation("MUG", 1)).ok(201);
    let paid = api.keyed("/v1/orders", &fresh("key"), &paying("MUG", 1)).ok(201);
    let warned = plan(&api, &json!({"orders.accepting": false}));
    assert_eq!(warned["warnings"].as_array().unwrap().len(), 1, "{warned}");
    apply(&api, &warned).ok(200);

    let refused = post(&api, "/v1/orders", &order("MUG", 1));
    refused.problem(503, "paused");
    assert!(refused.header("retry-after").is_some());
    post(&api, "/v1/reservations", &reservation("MUG", 1)).problem(503, "paused");
    let item = |key: &str| with(reservation("MUG", 1), json!({"key": key}));
    let batch = api.post("/v1/reservations:batch", &json!({"items": [item(&fresh("key")), item(&held_key)]})).ok(200);
    assert_eq!((&batch["results"][0]["code"], &batch["results"][1]["id"]), (&json!("paused"), &held["id"]));

    let again = api.keyed("/v1/orders", &key, &order("MUG", 1));
    assert!(again.replayed());
    assert_eq!(again.ok(201), placed);
    api.keyed("/v1/orders", &key, &order("MUG", 2)).problem(422, "idempotency_key_reused");
    assert_eq!(api.keyed("/v1/reservations", &held_key, &reservation("MUG", 1)).ok(201)["id"], held["id"]);
    api.act(&format!("/sandbox/payments/{}/approve", paid["payment"]["attempt_id"].as_str().unwrap())).ok(200);
    api.act(&format!("/v1/orders/{}:cancel", id(&placed))).ok(200);

    tune(&api, &json!({"orders.accepting": true}));
    post(&api, "/v1/orders", &order("MUG", 1)).ok(201);
}

/// The fingerprint of an order has the time that it is held.
#[test]
fn a_retry_is_the_same_request_whatever_was_turned_in_between() {
    let (_server, api) = own();
    put(&api, "MUG", "berlin", 10);
    let (key, long_key) = (fresh("key"), fresh("key"));
    let placed = api.keyed("/v1/orders", &key, &order("MUG", 1)).ok(201);
    let long = with(order("MUG", 1), json!({"ttl_seconds": 7200}));
    let longer = api.keyed("/v1/orders", &long_key, &long).ok(201);
    tune(&api, &json!({"orders.ttl_seconds": 120, "orders.ttl_max_seconds": 3600}));
    assert_eq!(api.keyed("/v1/orders", &key, &order("MUG", 1)).ok(201), placed);
    assert_eq!(api.keyed("/v1/orders", &long_key, &long).ok(201), longer);
    post(&api, "/v1/orders", &long).invalid("/ttl_seconds");
    let shorter = post(&api, "/v1/orders", &order("MUG", 1)).ok(201);
    assert!(shorter["expires_at"].as_str() < placed["expires_at"].as_str(), "{shorter}");
}

/// The fact is in the journal, and the process is killed before the value is written beside the data.
#[test]
fn a_change_that_never_came_into_force_is_shown_as_wanted() {
    let (mut server, api) = own();
    let obstacle = server.data_dir().join("tuning.new");
    fs::create_dir(&obstacle).unwrap();
    apply(&api, &plan(&api, &json!({"engine.credits": 77}))).problem(500, "internal");
    server.kill();
    fs::remove_dir(&obstacle).unwrap();
    server.restart();
    let shown = setting(&api, "engine.credits");
    assert_eq!((&shown["value"], &shown["wanted"], &shown["origin"]), (&json!(32768), &json!("77"), &json!("default")));
    tune(&api, &json!({"engine.credits": 77}));
    let shown = setting(&api, "engine.credits");
    assert_eq!((&shown["value"], &shown["wanted"]), (&json!(77), &Value::Null));
}

/// It could not be ended: what was in force already was not planned.
#[test]
fn a_wanted_value_that_is_not_in_force_is_changed_back_by_its_key_and_by_going_back() {
    let (mut server, api) = own();
    for (key, to) in [("orders.ttl_max_seconds", 5000), ("engine.credits", 500), ("engine.shards", 3)] {
        let before = setting(&api, key)["value"].clone();
        for back in [before.clone(), Value::Null] {
            tune(&api, &json!({(key): to}));
            assert!(server.terminate().success());
            fs::remove_file(server.data_dir().join("tuning.toml")).unwrap();
            server.restart();
            let shown = setting(&api, key);
            assert_eq!((&shown["value"], &shown["wanted"]), (&before, &json!(to.to_string())));
            let planned = plan(&api, &json!({(key): back}));
            assert_eq!((&planned["diff"][0]["to"], planned["moves"].as_array().unwrap().len()), (&before, 0), "{planned}");
            let applied = apply(&api, &planned).ok(200);
            assert_eq!((&applied["changes"][0]["what"], applied.get("operation")), (&json!(key), None), "{applied}");
            assert_eq!(setting(&api, key).get("wanted"), None);
            assert!(plan(&api, &json!({(key): before}))["diff"].as_array().unwrap().is_empty(), "it is over");
        }
    }
}

#[test]
fn a_variable_wins_at_the_next_start_and_the_plan_says_so() {
    let mut server = Server::start(Options::new().env("HOLDFAST__ENGINE__CREDITS", "600"));
    let api = Api::of(&server);
    let planned = plan(&api, &json!({"engine.credits": 700, "engine.batch_kb": 64}));
    let warnings = planned["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().contains("HOLDFAST__ENGINE__CREDITS"), "{planned}");
    apply(&api, &planned).ok(200);
    assert_eq!(setting(&api, "engine.credits")["value"], 700);
    server.kill();
    server.restart();
    let shown = setting(&api, "engine.credits");
    assert_eq!((&shown["value"], &shown["wanted"]), (&json!(600), &json!("700")));
    assert_eq!(shown["origin"], "HOLDFAST__ENGINE__CREDITS");
    assert_eq!(setting(&api, "engine.batch_kb")["value"], 64);
}

#[test]
fn the_command_line_plans_applies_and_shows_who_it_was() {
    let mut server = Server::prepare(Options::new());
    let (admin, viewer) =
        (key_of(&server, &["--name", "ada", "--role", "admin"]), key_of(&server, &["--name", "bob", "--role", "viewer"]));
    server.restart();
    let url = server.url();
    let run = |key: &str, args: &[&str]| server.run(&[&["tune"], args, &["--url", &url, "--key", key, "--json"]].concat());
    let (planned, said) = run(&viewer, &["plan", "engine.credits=4242", "log.level=warn"]);
    assert!(planned.success(), "{said}");
    let plan: Value = serde_json::from_str(&said).unwrap();
    let id = plan["plan"].as_str().unwrap();
    assert!(!run(&viewer, &["apply", id]).0.success(), "a viewer looks");
    assert!(run(&admin, &["apply", id, "--note", "because"]).0.success());
    let (_, said) = server.run(&["tune", "history", "--url", &url, "--key", &viewer]);
    assert!(said.contains("ada") && said.contains("because") && said.contains("4242"), "{said}");
    let (_, said) = server.run(&["tune", "show", "--url", &url, "--key", &viewer]);
    assert!(said.lines().any(|line| line.starts_with("engine.credits") && line.contains("by ada")), "{said}");
    let (status, said) = run(&admin, &["plan", "engine.credits=0"]);
    assert!(!status.success(), "{said}");
    let (status, said) = run(&admin, &["apply", "engine.shards=4", "engine.batch_kb=64", "--note", "planned at once"]);
    let applied: Value = serde_json::from_str(&said).unwrap();
    assert!(status.success() && applied["operation"]["state"] == "done", "it waits: {said}");
    let (_, said) = server.run(&["tune", "apply", "engine.shards=2", "--url", &url, "--key", &admin]);
    assert!(said.contains("engine.shards") && said.contains(" done: moved ") && !said.contains("moved 0 "), "{said}");
}

/// `holdfast tune` with words for one server: whether it went well, what it printed, and what it said beside that.
fn told(url: &str, args: &[&str]) -> (bool, String, String) {
    let output = Command::new(binary()).arg("tune").args(args).args(["--url", url]).output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.success(), out, err)
}

#[test]
fn what_is_applied_at_once_is_warned_of_as_a_plan_is() {
    let server = Server::start(Options::new().env("HOLDFAST__ENGINE__CREDITS", "600"));
    let url = server.url();
    let (_, out, err) = told(&url, &["apply", "engine.credits=700"]);
    assert!(out.contains("700") && err.contains("HOLDFAST__ENGINE__CREDITS"), "{out}{err}");
    let (_, out, err) = told(&url, &["apply", "engine.credits=800", "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert!(answer["warnings"][0].as_str().unwrap().contains("HOLDFAST__ENGINE__CREDITS"), "{out}");
    assert!(err.contains("HOLDFAST__ENGINE__CREDITS"), "{err}");
    assert_eq!(told(&url, &["apply", "log.level=warn"]).2, "", "nothing to warn of");
}

#[test]
fn a_key_that_is_named_twice_is_refused_before_the_server_is_asked() {
    let nobody = Server::prepare(Options::new()).url();
    for args in [
        &["plan", "engine.credits=7", "engine.credits=9"][..],
        &["apply", "engine.credits=7", "engine.credits=9"],
        &["plan", "engine.credits=7", "--reset", "engine.credits"],
    ] {
        let (well, _, err) = told(&nobody, args);
        assert!(!well && err.contains("engine.credits is named twice"), "{args:?}: {err}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused_over_http_too() {
    let api = Api::shared();
    let twice = br#"{"changes": {"engine.credits": 7, "engine.credits": 9}}"#;
    let refused = api.send("POST", "/admin/v1/tuning:plan", &[("content-type", "application/json")], Some(twice));
    let detail = refused.problem(400, "invalid_request")["detail"].clone();
    assert!(detail.as_str().unwrap().contains("engine.credits is there twice"), "{detail}");
    refused.invalid("/changes/engine.credits");
}

#[test]
fn what_the_command_line_is_refused_names_the_next_step() {
    let (server, Operators { open, admin, .. }) = apart(&[]);
    let beside = server.url();
    for (url, args, next) in [
        (beside.as_str(), &["show"][..], "[admin] listen"),
        (open.base(), &["show"], "by --key or by HOLDFAST_KEY"),
        (open.base(), &["show", "--key", "hf_wrong"], "--key or HOLDFAST_KEY"),
        (open.base(), &["show", "--key", "hf_\n"], "an end of line"),
        (open.base(), &["apply", "plan_none", "--key", admin.key()], "plan again: holdfast tune plan"),
        (open.base().trim_start_matches("http://"), &["show"], "http:// is missing"),
    ] {
        let (well, _, err) = told(url, args);
        assert!(!well && err.contains(next), "{url} {args:?}: {err}");
    }
}

#[test]
fn settings_are_shown_as_json_if_they_are_in_the_table() {
    let (server, api) = own();
    let shown = |args: &[&str]| -> Vec<String> {
        let (_, out, _) = told(&server.url(), &[&["show", "--json"], args].concat());
        let settings: Value = serde_json::from_str(&out).unwrap();
        settings["settings"].as_array().unwrap().iter().map(|one| one["change"].as_str().unwrap().to_owned()).collect()
    };
    assert!(shown(&[]).iter().all(|change| change == "live"));
    assert_eq!(shown(&["--all"]).len(), api.get("/admin/v1/tuning").ok(200)["settings"].as_array().unwrap().len());
}

#[test]
fn config_explain_names_the_change_and_who_made_it_and_what_is_changed_live() {
    let mut server = Server::prepare(Options::new());
    let admin = key_of(&server, &["--name", "ada", "--role", "admin"]);
    server.restart();
    let api = Api::of(&server).with_key(&admin);
    poll(PATIENCE, || (api.get("/v1/limits").status == 200).then_some(())).expect("the key counts");
    tune(&api, &json!({"orders.ttl_seconds": 300}));
    tune(&api, &json!({"engine.shards": 3}));
    let file = server.data_dir().with_file_name("explained.toml");
    fs::write(&file, format!("[data]\ndir = \"{}\"\n[orders]\nttl_seconds = 600\n", server.data_dir().display())).unwrap();
    let dir = server.data_dir().display().to_string();
    let in_file = [("data.dir", "", "restart", "explained.toml:2")];
    for (named, more) in [(["--config", &file.display().to_string()], &in_file[..]), (["--data-dir", &dir], &[])] {
        let (status, said) = server.run(&[&["config", "explain"], &named[..]].concat());
        assert!(status.success());
        let all = [
            ("orders.ttl_seconds", "300", "live", "tuning.toml: change 1 by ada, 20"),
            ("engine.shards", "3", "live", "tuning.toml: change 2 by ada, 20"),
            ("kafka.topic_prefix", "hf_", "restart", "HOLDFAST__KAFKA__TOPIC_PREFIX"),
            ("engine.credits", "32768", "live", "default"),
        ];
        for (key, value, change, origin) in all.iter().chain(more) {
            let line = said.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap();
            let says = |part: &str| line.contains(part);
            assert!(says(value) && says(&format!(" {change} ")) && says(origin), "{line}");
        }
        assert!(server.run(&[&["config", "check"], &named[..]].concat()).0.success());
    }
}

#[test]
fn a_frame_shows_each_shard_the_hot_sku_and_advice() {
    let (_server, api) = own();
    put(&api, "HOT", "berlin", 10_000);
    let hot = poll(PATIENCE, || {
        (0..64).for_each(|_| drop(post(&api, "/v1/orders", &order("HOT", 1)).ok(201)));
        let seen = api.get("/admin/v1/frame").ok(200);
        assert!(!seen["advice"].as_array().unwrap().is_empty(), "{seen}");
        let hot = &seen["frame"]["hot"][0];
        (hot["sku"] == "HOT").then(|| seen.clone())
    });
    let frame = &hot.expect("it is hot")["frame"];
    let shards = api.get("/admin/v1/shards").ok(200)["shards"].as_array().unwrap().len();
    assert_eq!(frame["shards"].as_array().unwrap().len(), shards);
    let hosts = api.get("/admin/v1/shards").ok(200);
    let host = frame["hot"][0]["shard"].as_u64().unwrap() as usize;
    assert!(hosts["shards"][host]["partitions"].as_array().unwrap().contains(&frame["hot"][0]["partition"]), "{frame}");
}
