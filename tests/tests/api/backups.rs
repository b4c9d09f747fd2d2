//! Backups and what comes out of data, from outside: who may ask, what stays secret, what is refused and with which words.

use crate::client::Api;
use crate::shop::{hold, order, put, with};
use holdfast_tests::server::{Options, Server, binary, on_cluster};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const MAKE: &str = "/admin/v1/backups";

/// A server that makes backups, and room for what comes of them.
struct Bench {
    root: TempDir,
    server: Server,
}

impl Bench {
    fn new(prepare: impl FnOnce(&Server)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut server = Server::prepare(Options::new().env("HOLDFAST__BACKUP__DIR", root.path().join("backups")));
        prepare(&server);
        server.restart();
        Self { root, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn run(&self, args: &[&str], paths: &[(&str, &Path)]) -> Output {
        let mut command = Command::new(binary());
        command.args(args);
        for (name, path) in paths {
            command.arg(name).arg(path);
        }
        command.output().unwrap()
    }

    #[track_caller]
    fn good(&self, args: &[&str], paths: &[(&str, &Path)]) -> Value {
        let output = self.run(&[args, &["--json"]].concat(), paths);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// What a restore into a directory of this name says on a terminal.
    fn restored(&self, backup: &Path, name: &str) -> String {
        let output = self.run(&["restore"], &[("--from", backup), ("--data-dir", &self.path(name))]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn refused(&self, args: &[&str], paths: &[(&str, &Path)], word: &str) {
        let output = self.run(args, paths);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(word), "{args:?}: {said}");
    }
}

fn new_key(dir: &Path) -> String {
    let output = Command::new(binary())
        .args(["key", "new", "--name", "shop", "--role", "admin", "--json", "--data-dir"])
        .arg(dir)
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    made["key"].as_str().unwrap().to_owned()
}

#[test]
fn a_backup_of_a_server_has_no_secret_and_retries_find_their_orders_under_keys_of_the_same_names() {
    if on_cluster() {
        return;
    }
    let mut key = String::new();
    let bench = Bench::new(|server| key = new_key(server.data_dir()));
    let open = Api::of(&bench.server);
    open.act(MAKE).problem(401, "unauthorized");
    let api = open.with_key(&key);
    put(&api, "mug", "berlin", 10);
    let body = order("mug", 2);
    let placed = api.keyed("/v1/orders", "one", &body).ok(201);
    let made = api.act(MAKE).ok(201);
    assert_eq!((&made["verified"]["orders"], &made["verified"]["skus"]), (&json!(1), &json!(1)), "{made}");
    let backup = bench.path("backups").join(made["name"].as_str().unwrap());
    assert!(!backup.join("api-keys.jsonl").exists() && !backup.join("sandbox/webhook-secret").exists());
    bench.refused(&["serve"], &[("--data-dir", &backup)], "is a backup, not a data directory");
    let restored = bench.path("restored");
    let told = bench.good(&["restore"], &[("--from", &backup), ("--data-dir", &restored)]);
    assert_eq!(told["secrets"], false);
    assert!(bench.restored(&backup, "told in words").contains("There have been API keys"));
    let key = new_key(&restored);
    let server = Server::start(Options::new().data_dir(&restored));
    let again = Api::of(&server).with_key(&key).keyed("/v1/orders", "one", &body);
    assert!(again.replayed() && again.ok(201)["id"] == placed["id"], "{}", again.text());
}

#[test]
fn a_backup_with_secrets_serves_the_same_callers_once_restored() {
    if on_cluster() {
        return;
    }
    let mut key = String::new();
    let mut bench = Bench::new(|server| key = new_key(server.data_dir()));
    put(&Api::of(&bench.server).with_key(&key), "mug", "berlin", 10);
    let (backup, restored, data) = (bench.path("backup"), bench.path("restored"), bench.server.data_dir().to_owned());
    bench.refused(&["backup"], &[("--data-dir", &data), ("--to", &backup)], "in use");
    assert!(bench.server.terminate().success());
    let told = bench.good(&["backup", "--with-secrets"], &[("--data-dir", &data), ("--to", &backup)]);
    assert_eq!((&told["secrets"], &told["skus"]), (&json!(true), &json!(1)));
    bench.good(&["restore"], &[("--from", &backup), ("--data-dir", &restored)]);
    let server = Server::start(Options::new().data_dir(&restored));
    Api::of(&server).get("/v1/inventory/mug").problem(401, "unauthorized");
    assert_eq!(Api::of(&server).with_key(&key).get("/v1/inventory/mug").ok(200)["on_hand"], 10);
}

#[test]
fn what_cannot_be_backed_up_or_restored_is_refused_with_what_to_do() {
    if on_cluster() {
        return;
    }
    let mut bench = Bench::new(|_| {});
    put(&Api::of(&bench.server), "mug", "berlin", 10);
    assert!(bench.server.terminate().success());
    let (data, backup, fresh) = (bench.server.data_dir().to_owned(), bench.path("backup"), bench.path("fresh"));
    bench.good(&["backup"], &[("--data-dir", &data), ("--to", &backup)]);
    bench.good(&["verify"], &[("--data-dir", &backup)]);
    assert!(!bench.restored(&backup, "never had keys").contains("API keys"));
    bench.refused(&["backup"], &[("--data-dir", &data), ("--to", &backup)], "name a directory that is not there yet");
    bench.refused(&["backup"], &[("--data-dir", &fresh), ("--to", &bench.path("other"))], "holds no Holdfast data");
    bench.refused(&["restore"], &[("--from", &backup), ("--data-dir", &data)], "is not empty");
    bench.refused(&["restore"], &[("--from", &data), ("--data-dir", &fresh)], "no finished backup");
    bench.refused(&["serve"], &[("--data-dir", &backup)], "a backup");
    let log = backup.join("log/00000000000000000001.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    bench.refused(&["verify"], &[("--data-dir", &backup)], "damaged");
    bench.refused(&["restore"], &[("--from", &backup), ("--data-dir", &fresh)], "restore another one");
    assert!(!fresh.join("holdfast.meta").exists());
}

#[test]
fn a_journal_on_a_cluster_is_backed_up_with_the_tools_of_the_cluster() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(settings.path(), "[journal]\nbackend = \"scylla\"\n").unwrap();
    let there = settings.path().with_extension("backup");
    for command in [["backup", "--to"], ["restore", "--from"]] {
        let output = Command::new(binary()).args(command).arg(&there).arg("--config").arg(settings.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("nodetool snapshot"), "{said}");
    }
    if on_cluster() {
        let server = Server::start(Options::new().env("HOLDFAST__BACKUP__DIR", &there));
        let refused = Api::of(&server).act(MAKE).problem(409, "backup_unavailable");
        assert!(refused["detail"].as_str().unwrap().contains("nodetool"), "{refused}");
    }
}

/// Units that are held or sold are there until they leave.
#[test]
fn exported_stock_is_imported_as_the_same_counts() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 10);
    put(&api, "mug", "lyon", 0);
    api.json("PUT", "/v1/inventory/plate/locations/berlin", &[("if-match", "*")], &json!({"on_hand": 7, "safety_stock": 2}))
        .ok(200);
    hold(&api, "mug", 3);
    let sold = api.keyed("/v1/orders", "sold", &with(order("plate", 1), json!({}))).ok(201);
    api.act(&format!("/v1/orders/{}:confirm", sold["id"].as_str().unwrap())).ok(200);
    assert!(server.terminate().success());
    let exported = Command::new(binary()).args(["export", "--stock"]).args(server.data_args()).envs(server.own_names()).output();
    let rows = String::from_utf8(exported.unwrap().stdout).unwrap();
    let lines: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row =
        |sku, location, on_hand, safety| json!({"sku": sku, "location": location, "on_hand": on_hand, "safety_stock": safety});
    assert_eq!(lines, [row("mug", "berlin", 10, 0), row("mug", "lyon", 0, 0), row("plate", "berlin", 7, 2)]);
    let fresh = Server::start(Options::new());
    let api = Api::of(&fresh);
    let imported = api.send("POST", "/v1/inventory/imports", &[("content-type", "application/x-ndjson")], Some(rows.as_bytes()));
    assert!(imported.text().contains("\"imported\":3"), "{}", imported.text());
    let plate = api.get("/v1/inventory/plate").ok(200);
    assert_eq!([&plate["on_hand"], &plate["safety_stock"], &plate["available"]], [7, 2, 5]);
    let mug = api.get("/v1/inventory/mug").ok(200);
    assert_eq!((mug["locations"].as_array().unwrap().len(), &mug["on_hand"]), (2, &json!(10)));
}
