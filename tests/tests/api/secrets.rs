//! Files with secrets: for their owner alone, and a webhook secret that is rolled while webhooks come in.

use crate::client::Api;
use crate::shop::{order_becomes, paying, place, put};
use crate::webhooks::{now, secret_of, signature, tell, told};
use holdfast_tests::server::{Options, Server, binary, on_cluster};
use std::fs::{Permissions, metadata, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn mode(path: &Path) -> u32 {
    metadata(path).unwrap().permissions().mode() & 0o777
}

/// What others than its owner can use, of all that is below a directory.
fn shared_below(dir: &Path) -> Vec<String> {
    let mut shared = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // The tables remove files as they go.
        let Ok(file) = metadata(&path) else { continue };
        if file.permissions().mode() & 0o077 != 0 {
            shared.push(path.display().to_string());
        }
        if file.is_dir() {
            shared.extend(shared_below(&path));
        }
    }
    shared
}

/// Facts are as private as secrets: the log, the tables, the lock, the sandbox's record, backups and what a restore makes.
#[test]
fn whatever_lies_on_disk_is_for_its_owner_alone_whatever_the_umask() {
    if on_cluster() {
        return;
    }
    let shell = ["sh", "-c", "umask 000; exec \"$@\"", "sh"];
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let options = Options::new().wrapper(shell).env("HOLDFAST__BACKUP__DIR", path("backups"));
    let mut server = Server::start(options.data_dir(path("data")));
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 5);
    let placed = place(&api, &paying("mug", 1));
    api.act(&format!("/sandbox/payments/{}/approve", placed["payment"]["attempt_id"].as_str().unwrap())).ok(200);
    order_becomes(&api, &placed, "confirmed");
    let made = api.act("/admin/v1/backups").ok(201);
    assert_eq!(shared_below(root.path()), [""; 0]);
    assert!(server.terminate().success());
    let [backups, restored] =
        [path("backups").join(made["name"].as_str().unwrap()), path("restored")].map(|path| path.display().to_string());
    let line = format!("umask 000; exec '{}' restore --from '{backups}' --data-dir '{restored}'", binary().display());
    assert!(std::process::Command::new("sh").args(["-c", &line]).output().unwrap().status.success());
    server.restart();
    assert_eq!(shared_below(root.path()), [""; 0]);
}

/// Everything in the data directory that holds a secret, with its directories.
fn secrets_of(server: &Server) -> Vec<(PathBuf, u32)> {
    let dir = server.data_dir();
    let files = ["api-keys.jsonl", "sandbox/webhook-secret", "sandbox/page-secret", "sandbox/attempts.jsonl"];
    let files = files.map(|name| (dir.join(name), 0o600));
    files.into_iter().chain([(dir.to_path_buf(), 0o700), (dir.join("sandbox"), 0o700)]).collect()
}

#[test]
fn secrets_are_made_for_their_owner_alone_whatever_the_umask_and_older_ones_are_narrowed_with_a_warning() {
    let shell = ["sh", "-c", "umask 000; exec \"$@\"", "sh"];
    let mut server = Server::prepare(Options::new().wrapper(shell).env("HOLDFAST__SANDBOX__ENABLED", "true"));
    let dir = server.data_dir().display().to_string();
    assert!(server.run(&["key", "new", "--data-dir", &dir]).0.success());
    server.restart();
    for (path, expected) in secrets_of(&server) {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    assert_eq!(shared_below(server.data_dir()), [""; 0]);
    assert!(server.terminate().success());
    for (path, _) in secrets_of(&server) {
        let wide = if path.is_dir() { 0o755 } else { 0o644 };
        set_permissions(&path, Permissions::from_mode(wide)).unwrap();
    }
    server.restart();
    for (path, expected) in secrets_of(&server) {
        assert_eq!(mode(&path), expected, "{}", path.display());
        assert!(server.log().contains(&format!("{} could be read by others", path.display())), "{}", server.log());
    }
}

#[test]
fn a_webhook_secret_is_rolled_without_refusing_what_is_signed_with_the_old_one() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 5);
    let [one, two, three] = [1, 1, 1].map(|units| place(&api, &paying("mug", units)));
    let old = secret_of(&server);
    server.terminate();
    let dir = server.data_dir().display().to_string();
    let roll = |server: &Server, more: &[&str]| server.run(&[&["key", "roll-webhook", "--data-dir", &dir], more].concat());
    assert!(roll(&server, &[]).0.success());
    assert!(!roll(&server, &[]).0.success(), "the secret before the last was thrown away");
    let new = secret_of(&server);
    assert_ne!(new, old);
    server.restart();
    let api = Api::of(&server);
    for (placed, secret) in [(&one, &old), (&two, &new)] {
        let body = told(placed, "payment.captured");
        tell(&api, &body, &signature(secret, now(), &body)).ok(200);
        order_becomes(&api, placed, "confirmed");
    }
    server.terminate();
    assert!(roll(&server, &["--finish"]).0.success());
    server.restart();
    let (api, body) = (Api::of(&server), told(&three, "payment.captured"));
    tell(&api, &body, &signature(&old, now(), &body)).problem(401, "unauthorized");
    let both = format!("{},{}", signature(&old, now(), &body), signature(&new, now(), &body).split_once(',').unwrap().1);
    tell(&api, &body, &both).ok(200);
    order_becomes(&api, &three, "confirmed");
}
