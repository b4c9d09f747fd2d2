//! The commands beside `serve`: each speaks JSON when asked, and says by its exit status how it went.

use crate::client::Api;
use crate::shop::{hold, id, order, place, put};
use holdfast_tests::server::{Options, Server, binary, on_cluster, partitions};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().unwrap()
}

/// A command on the data of a server.
fn run_on(server: &Server, args: &[&str]) -> Output {
    Command::new(binary()).args(args).args(server.data_args()).envs(server.own_names()).output().unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said} {}", String::from_utf8_lossy(&output.stderr)))
}

/// A stopped server with an order of each fate, and their ids.
fn stopped() -> (Server, String, String) {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 10);
    let placed = place(&api, &order("mug", 2));
    api.act(&format!("/v1/orders/{}:confirm", id(&placed))).ok(200);
    let held = hold(&api, "mug", 3);
    assert!(server.terminate().success());
    let ids = (id(&placed).to_owned(), id(&held).to_owned());
    (server, ids.0, ids.1)
}

#[test]
fn verify_checks_the_data_and_says_what_it_saw() {
    let (server, _, _) = stopped();
    let output = run_on(&server, &["verify", "--json"]);
    assert!(output.status.success());
    let report = json(&output);
    assert_eq!([&report["ok"], &report["violations"]], [&serde_json::json!(true), &serde_json::json!([])]);
    assert_eq!([&report["orders"], &report["reservations"], &report["skus"]], [1, 1, 1]);
    assert!(report["events"].as_u64().unwrap() >= 6);
    let text = run_on(&server, &["verify"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("every invariant holds"));
}

#[test]
fn verify_of_no_data_fails_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["verify", "--json", "--data-dir", &dir.path().display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["ok"], false);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "verify made something");
}

/// A directory has one user at a time. A cluster may be looked at by anybody, and its server goes on.
#[test]
fn verify_of_data_in_use_is_refused_or_disturbs_nobody() {
    let server = Server::start(Options::new());
    let (ok, said) = server.verify();
    if on_cluster() {
        assert!(ok, "{said}")
    } else {
        assert!(!ok && said.contains("in use"), "{said}")
    }
    put(&Api::of(&server), "mug", "berlin", 10);
}

#[test]
fn export_writes_every_event_as_a_line() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 10);
    place(&api, &order("mug", 2));
    let over_http = api.get("/v1/events?limit=1000").ok(200)["events"].clone();
    assert!(server.terminate().success());
    let output = run_on(&server, &["export", "--json"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let read = over_http.as_array().unwrap();
    assert!(read.iter().all(|event| lines.contains(event)));
}

#[test]
fn inspect_shows_journal_partitions_an_order_and_a_sku() {
    let (server, order, held) = stopped();
    let inspect = |what: &[&str]| json(&run_on(&server, &[&["inspect", "--json"], what].concat()));
    assert!(inspect(&["journal"])["events"].as_u64().unwrap() >= 6);
    assert_eq!(inspect(&["partitions"])["partitions"].as_array().unwrap().len(), partitions());
    let shown = inspect(&["order", &order]);
    assert_eq!([&shown["id"], &shown["facts"][0]["type"]], [&Value::from(order), &Value::from("holdfast.order.placed")]);
    assert_eq!(inspect(&["order", &held])["id"], held);
    let sku = inspect(&["sku", "mug"]);
    assert_eq!([&sku["stock"]["committed"], &sku["stock"]["held"]], [2, 3]);
    for missing in [["order", "ord_00000000000000000000000000"], ["order", "x"], ["sku", "plate"]] {
        let output = run_on(&server, &[&["inspect"], &missing[..]].concat());
        assert!(!output.status.success() && !output.stderr.is_empty(), "{missing:?}");
    }
}

#[test]
fn inspect_prints_tables_with_dates_and_whole_ids_for_people() {
    let (server, order, held) = stopped();
    let inspect = |what: &[&str]| {
        let output = run_on(&server, &[&["inspect"], what].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(inspect(&["journal"]).starts_with("COMMITS  EVENTS"));
    let listed = inspect(&["partitions"]);
    assert_eq!((listed.lines().count(), listed.starts_with("PARTITION")), (1 + partitions(), true), "{listed}");
    let facts = inspect(&["order", &order]);
    let placed = facts.lines().find(|line| line.contains("order.placed")).unwrap();
    let date = placed.split_whitespace().nth(1).unwrap();
    assert!(facts.starts_with(&order) && date.starts_with("20") && date.ends_with('Z') && date.contains('T'), "{facts}");
    let sku = inspect(&["sku", "mug"]);
    let hold = held.replace("res_", "ord_");
    assert!(sku.starts_with("mug  partition") && sku.contains("berlin") && sku.contains(&hold), "{sku}");
    assert!(![listed, facts, sku].concat().contains('{'), "JSON for people");
}

#[test]
fn config_explain_names_the_origin_of_each_value() {
    let output =
        Command::new(binary()).args(["config", "explain", "--json"]).env("HOLDFAST__ENGINE__SHARDS", "3").output().unwrap();
    let rows = json(&output);
    let of = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!((&of("engine.shards")["value"], &of("engine.shards")["origin"]), (&3.into(), &"HOLDFAST__ENGINE__SHARDS".into()));
    assert_eq!((&of("server.listen")["value"], &of("auth.own_orders")["value"]), (&"127.0.0.1:8080".into(), &false.into()));
    assert_eq!(of("server.listen")["origin"], "default");
}

#[test]
fn config_check_refuses_an_unknown_key_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("holdfast.toml");
    std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:1\"\n[engine]\nshard = 2\n").unwrap();
    let file = file.display().to_string();
    let output = run(&["config", "check", "--config", &file, "--json"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("{file}:4")));
    assert_eq!(json(&run(&["config", "check", "--json"]))["ok"], true);
}

#[test]
fn key_new_prints_a_secret_once_and_stores_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let made = json(&run(&["key", "new", "--name", "shop", "--data-dir", &path, "--json"]));
    assert!(made["key"].as_str().unwrap().starts_with("hf_"));
    let stored = std::fs::read_to_string(made["stored_in"].as_str().unwrap()).unwrap();
    assert!(stored.contains(made["hash"].as_str().unwrap()) && !stored.contains(made["key"].as_str().unwrap()));
    let printed = json(&run(&["key", "new", "--print", "--json"]));
    assert_eq!(printed["stored_in"], Value::Null);
}

#[test]
fn key_new_refuses_a_name_that_cannot_be_read_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    for name in ["", " shop", "a\nb"] {
        let output = run(&["key", "new", "--name", name, "--data-dir", &path]);
        assert_eq!(output.status.code(), Some(1), "{name:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("no API key can be named"), "{name:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_no_key_matches_is_named_and_so_is_a_directory_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    json(&run(&["key", "new", "--name", "shop", "--data-dir", &path, "--json"]));
    let nowhere = dir.path().join("nowhere").display().to_string();
    for (args, said) in [
        (&["revoke", "shop", "--hash", "zzz", "--data-dir", &path][..], "begins with \"zzz\""),
        (&["revoke", "shop", "--data-dir", &nowhere], &nowhere),
        (&["list", "--data-dir", &nowhere], &nowhere),
        (&["roll-webhook", "--finish", "--data-dir", &nowhere], &nowhere),
    ] {
        let output = run(&[&["key"], args].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && output.stdout.is_empty() && told.contains(said), "{args:?}: {told}");
    }
}

#[test]
fn whoever_revokes_the_last_key_is_warned_that_no_server_starts_then() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    for name in ["shop", "kiosk"] {
        json(&run(&["key", "new", "--name", name, "--data-dir", &path, "--json"]));
    }
    let warned = |name: &str| {
        let output = run(&["key", "revoke", name, "--data-dir", &path]);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).contains("no key is left")
    };
    assert!(!warned("shop") && warned("kiosk"));
    let started = run(&["serve", "--data-dir", &path, "--listen", "127.0.0.1:0"]);
    assert!(!started.status.success() && String::from_utf8_lossy(&started.stderr).contains("has no keys"));
}

#[test]
fn openapi_prints_what_the_server_serves() {
    assert_eq!(json(&run(&["openapi", "--json"])), Api::shared().get("/openapi.json").ok(200));
}

#[test]
fn healthcheck_says_by_its_exit_status_whether_the_server_is_ready() {
    let api = Api::shared();
    let output = run(&["healthcheck", "--json", "--address", &api.server().address()]);
    assert!(output.status.success());
    assert_eq!(json(&output)["ready"], true);
    let nobody = Server::prepare(Options::new());
    let output = run(&["healthcheck", "--json", "--address", &nobody.address()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["ready"], false);
}

/// An address that gives one answer and is then gone.
fn answering_once(status: &str, body: &Value) -> String {
    let body = body.to_string();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = door.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut caller, _) = door.accept().unwrap();
        drop(door);
        assert!(caller.read(&mut [0; 4096]).unwrap() > 0);
        caller.write_all(answer.as_bytes()).unwrap();
        // What is unread when it is closed would take the answer with it.
        caller.shutdown(Shutdown::Write).unwrap();
        std::io::copy(&mut caller, &mut std::io::sink()).unwrap();
    });
    address
}

#[test]
fn healthcheck_says_why_a_server_is_not_ready() {
    let address = answering_once("503 Service Unavailable", &json!({"status": "not ready", "reason": "draining"}));
    let output = run(&["healthcheck", "--json", "--address", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["detail"], "status 503, draining");
}

#[test]
fn whoever_waits_for_moves_of_a_server_that_goes_is_told_that_the_change_counts() {
    let running = json!({"id": "2", "state": "running", "moved": 0, "moves": 0});
    let address = answering_once("200 OK", &json!({"diff": [], "changes": [], "operation": running}));
    let output = run(&["tune", "apply", "plan_1", "--url", &format!("http://{address}")]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("the change is in the journal and counts, after a restart too"), "{told}");
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("healthcheck"), "{shell}");
    }
}

#[test]
fn every_command_has_a_help_with_an_example() {
    for command in
        ["serve", "verify", "export", "backup", "restore", "inspect", "config", "key", "openapi", "healthcheck", "completions"]
    {
        let output = run(&[command, "--help"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("Example"), "{command}: {said}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_refused() {
    assert_eq!(run(&["sell-everything"]).status.code(), Some(2));
}
