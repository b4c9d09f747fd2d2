//! Settings from outside: what `config check` finds is what `serve` refuses, in the same words, all of it at once.

use crate::shop::PATIENCE;
use holdfast_tests::server::{Options, Server, binary, poll};
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A command of the binary in an empty directory, with no settings of whoever runs the tests.
pub(crate) struct Bench(pub(crate) TempDir);

impl Bench {
    pub(crate) fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("holdfast.toml"), settings).unwrap();
        Self(dir)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        let set = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("HOLDFAST_"));
        for name in set {
            command.env_remove(name);
        }
        command.args(args).env("HOLDFAST__ENGINE__MEMORY_AHEAD_MB", "0").current_dir(self.0.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const THREE_MISTAKES: &str = "[server]\nlisten = \"nonsense\"\n\n[log]\nlevel = \"loud\"\n[sandbox]\npublic_url = \"shop\"\n";

#[test]
fn config_check_and_serve_tell_three_mistakes_at_once_with_their_lines() {
    let bench = Bench::new(THREE_MISTAKES);
    for command in [["config", "check"].as_slice(), &["serve"]] {
        let output = bench.run(&[command, &["--config", "holdfast.toml"]].concat());
        assert_eq!(output.status.code(), Some(1));
        for part in ["holdfast.toml:2: server.listen", "holdfast.toml:5: log.level", "holdfast.toml:7: sandbox.public_url"] {
            assert!(said(&output).contains(part), "{command:?}: {part} is not in\n{}", said(&output));
        }
    }
    let output = bench.run(&["config", "check", "--config", "holdfast.toml", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys: Vec<&str> = found["mistakes"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!((&found["ok"], keys), (&Value::Bool(false), vec!["server.listen", "sandbox.public_url", "log.level"]));
}

#[test]
fn config_check_refuses_to_be_reached_from_outside_without_keys_and_key_new_still_makes_one() {
    let bench = Bench::new("[server]\nlisten = \"0.0.0.0:8080\"\n");
    let check = || bench.run(&["config", "check", "--config", "holdfast.toml"]);
    let output = check();
    assert!(!output.status.success() && said(&output).contains("holdfast.toml:2: server.listen: refusing"), "{}", said(&output));
    assert!(bench.run(&["key", "new", "--config", "holdfast.toml"]).status.success());
    assert!(check().status.success());
}

#[test]
fn too_many_shards_on_the_command_line_are_refused_by_name() {
    let output = Bench::new("").run(&["serve", "--shards", "65", "--ephemeral", "--listen", "127.0.0.1:0"]);
    assert!(!output.status.success());
    assert!(
        said(&output).contains("--shards: engine.shards: must not be more than data.partitions, which is 64"),
        "{}",
        said(&output)
    );
}

#[test]
fn data_with_another_number_of_partitions_is_refused_where_one_is_named_and_taken_where_none_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let partitions = |count: &str| Options::new().data_dir(&data).env("HOLDFAST__DATA__PARTITIONS", count);
    assert!(Server::start(partitions("8")).terminate().success());
    let (bench, at) = (Bench::new(""), data.display().to_string());
    let start = |more: &[&str], variables: &[(&str, &str)]| {
        let args = [&["serve", "--listen", "127.0.0.1:0", "--data-dir", &at], more].concat();
        bench.command(&args).envs(variables.iter().copied()).output().unwrap()
    };
    let output = start(&[], &[("HOLDFAST__DATA__PARTITIONS", "32")]);
    assert!(!output.status.success());
    assert!(
        said(&output).contains("created with 8 partitions") && said(&output).contains("data.partitions = 8"),
        "{}",
        said(&output)
    );
    let output = start(&["--shards", "9"], &[]);
    assert!(!output.status.success() && said(&output).contains("8 partitions, too few for 9 shards"), "{}", said(&output));
    // The default is 64.
    let mut child = bench.command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &at]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = String::new();
    let mut reader = std::io::BufReader::new(child.stderr.take().unwrap());
    while !log.contains("ready") && std::io::BufRead::read_line(&mut reader, &mut log).unwrap() > 0 {}
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(log.contains("partitions=8"), "{log}");
}

/// Kubernetes makes `HOLDFAST_PORT` and six more for a service of that name.
#[test]
fn variables_that_mean_nothing_are_named_in_one_warning_and_those_of_our_form_are_refused() {
    let server = Server::start(Options::new().env("HOLDFAST_PORT", "tcp://10.0.0.1:80").env("HOLDFAST_SERVICE_HOST", "10.0.0.1"));
    let warned: Vec<String> = server.log().lines().filter(|line| line.contains("HOLDFAST_PORT")).map(str::to_owned).collect();
    assert!(warned.len() == 1 && warned[0].contains("HOLDFAST_SERVICE_HOST") && warned[0].contains("WARN"), "{warned:?}");
    let output = Bench::new("").command(&["config", "check"]).env("HOLDFAST__SERVER__LISSTEN", "x").output().unwrap();
    assert!(!output.status.success() && said(&output).contains("HOLDFAST__SERVER__LISSTEN"), "{}", said(&output));
}

#[test]
fn nothing_is_coloured_where_there_is_no_terminal() {
    let server = Server::start(Options::new());
    // The banner is printed beside what makes it ready.
    poll(PATIENCE, || server.log().contains("ready").then_some(())).unwrap_or_else(|| panic!("{:?}", server.log()));
    assert!(!server.log().contains('\x1b'), "{:?}", server.log());
}

#[test]
fn an_error_of_a_file_names_its_path() {
    let bench = Bench::new("");
    let path = |name: &str| bench.0.path().join(name).display().to_string();
    std::fs::write(path("file"), "").unwrap();
    std::fs::create_dir_all(path("keys/api-keys.jsonl")).unwrap();
    std::fs::create_dir_all(path("record/sandbox/attempts.jsonl")).unwrap();
    std::fs::create_dir_all(path("lock/holdfast.lock")).unwrap();
    let cases = [
        ("file/data", "file/data"),
        ("keys", "keys/api-keys.jsonl"),
        ("record", "record/sandbox/attempts.jsonl"),
        ("lock", "lock/holdfast.lock"),
    ];
    for (dir, named) in cases {
        let output = bench.run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &path(dir)]);
        assert!(!output.status.success() && said(&output).contains(&path(named)), "{named} is not in {}", said(&output));
    }
    let output = bench.run(&["config", "check", "--config", "missing.toml"]);
    assert!(!output.status.success() && said(&output).contains("missing.toml: cannot be read"), "{}", said(&output));
}

/// A file others may read is the operator's: it is only said.
#[test]
fn a_password_file_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new("[journal]\nbackend = \"scylla\"\n[scylla]\nuser = \"u\"\npassword_file = \"password\"\n");
    let password = bench.0.path().join("password");
    std::fs::write(&password, "x").unwrap();
    let check = |mode: u32| {
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(mode)).unwrap();
        bench.run(&["config", "check", "--config", "holdfast.toml"])
    };
    let warned = check(0o644);
    assert!(warned.status.success() && said(&warned).contains("scylla.password_file"), "{}", said(&warned));
    assert_eq!(said(&check(0o600)), "");
    std::fs::remove_file(&password).unwrap();
    let output = bench.run(&["config", "check", "--config", "holdfast.toml"]);
    assert!(
        !output.status.success() && said(&output).contains("scylla.password_file: password cannot be read"),
        "{}",
        said(&output)
    );
}

/// As `head` does.
#[test]
fn a_command_whose_reader_has_had_enough_ends_quietly() {
    let mut server = Server::start(Options::new());
    let api = crate::client::Api::of(&server);
    let rows: String =
        (0..3000).map(|row| format!("{{\"sku\":\"sku-{row}\",\"location\":\"berlin\",\"on_hand\":1}}\n")).collect();
    let imported = api.send("POST", "/v1/inventory/imports", &[("content-type", "application/x-ndjson")], Some(rows.as_bytes()));
    assert_eq!(imported.status, 200);
    assert!(server.terminate().success());
    let (bench, data) = (Bench::new(""), server.data_dir().display().to_string());
    for command in [
        format!("export --data-dir {data}"),
        format!("inspect partitions --data-dir {data}"),
        format!("inspect journal --data-dir {data}"),
        format!("inspect sku sku-1 --data-dir {data}"),
        "config explain".to_owned(),
        "completions bash".to_owned(),
        "openapi".to_owned(),
        "schema cql".to_owned(),
    ] {
        // A reader that is gone before the first byte: every write fails.
        let mut child = bench.command(&command.split(' ').collect::<Vec<_>>());
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = poll(crate::shop::PATIENCE, || child.try_wait().unwrap());
        let mut errors = String::new();
        std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut errors).unwrap();
        assert!(ended.is_some_and(|status| status.success()) && errors.is_empty(), "{command}: {ended:?} {errors}");
    }
    let line = format!("set -e; '{}' export --data-dir '{data}' | head -1", binary().display());
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

/// A full disk behind standard output must not look like a whole export.
#[test]
fn a_command_that_cannot_write_fails() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Bench::new("").command(&["config", "explain"]).stdout(full).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("standard output"), "{}", said(&output));
}
