//! Files with secrets: for their owner alone, and a webhook secret that is rolled while webhooks come in.

use crate::client::Api;
use crate::shop::{order_becomes, paying, place, put};
use crate::webhooks::{now, signature, tell, told};
use holdfast_tests::server::{Options, Server};
use std::fs::{Permissions, metadata, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn mode(path: &Path) -> u32 {
    metadata(path).unwrap().permissions().mode() & 0o777
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
    let secret = |server: &Server| std::fs::read(server.data_dir().join("sandbox/webhook-secret")).unwrap();
    let old = secret(&server);
    server.terminate();
    let dir = server.data_dir().display().to_string();
    let roll = |server: &Server, more: &[&str]| server.run(&[&["key", "roll-webhook", "--data-dir", &dir], more].concat());
    assert!(roll(&server, &[]).0.success());
    assert!(!roll(&server, &[]).0.success(), "the secret before the last was thrown away");
    let new = secret(&server);
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
