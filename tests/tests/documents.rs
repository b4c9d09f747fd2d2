//! README.md and docs/guides as their readers run them: the shell blocks of a document, one after the other, in one shell, in an empty
//! directory, against the binary of this build. And the links of every document.
//!
//! A fence says ```` ```sh ````. Behind `sh` may stand `background`: the block goes on, and the next one begins when its server is ready; or
//! `elsewhere`: the block is not run here. Three commands have stand-ins, so that nothing is built and nothing outside is touched: `cargo run
//! --release` runs the binary, `pkill` and `pgrep` know the server of this document alone. The port is a free one in place of 8080.
//!
//! Invariant: a block that is not run here is listed in `ELSEWHERE`, with what runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::brokers::skip;
use holdfast_tests::server::{Options, Server, binary, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Blocks that are not run here: the document, how many, and the file that runs them.
const ELSEWHERE: [(&str, usize, &str); 3] = [
    // All tests: this is one of them.
    ("README.md", 1, ".ci/run"),
    // These install packages.
    ("docs/guides/python.md", 2, "tests/clients/run"),
    ("docs/guides/typescript.md", 2, "tests/clients/run"),
];

/// Far longer than a document takes on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(180);

const CARGO: &str = r#"#!/bin/bash
[ "$1 $2" = "run --release" ] || { echo "cargo $*: mark this block as elsewhere" >&2; exit 64; }
shift 2
[ "${1-}" != -- ] || shift
[ $# -gt 0 ] || echo $$ >"$SERVER"
exec "$HOLDFAST" "$@"
"#;

const PKILL: &str = r#"#!/bin/bash
case "$*" in
  "-x holdfast") kill -TERM "$(cat "$SERVER")" ;;
  "-9 -x holdfast") kill -KILL "$(cat "$SERVER")" ;;
  *) echo "pkill $*: not known here" >&2; exit 64 ;;
esac
"#;

const PGREP: &str = "#!/bin/bash\nkill -0 \"$(cat \"$SERVER\")\" 2>/dev/null\n";

const READY: &str = "until curl -fs http://127.0.0.1:8080/readyz >/dev/null; do kill -0 $!; sleep 0.1; done\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Run,
    Background,
    Elsewhere,
}

/// The shell blocks of a document, in their order.
fn blocks(document: &str) -> Vec<(Kind, String)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.to_owned(), String::new())),
            (Some((_, text)), None) => *text += &format!("{line}\n"),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, None) => {}
        }
    }
    blocks.into_iter().filter_map(|(info, text)| Some((kind(&info)?, text))).collect()
}

fn kind(info: &str) -> Option<Kind> {
    match info.split_whitespace().collect::<Vec<_>>()[..] {
        ["sh"] => Some(Kind::Run),
        ["sh", "background"] => Some(Kind::Background),
        ["sh", "elsewhere"] => Some(Kind::Elsewhere),
        ["sh", ..] => panic!("```{info}: sh, sh background or sh elsewhere"),
        _ => None,
    }
}

/// The script of a document: it ends with the first command that fails.
fn script(document: &str) -> String {
    let part = |(kind, text): (Kind, String)| match kind {
        Kind::Run => text,
        Kind::Background => format!("{{\n{text}}} &\n{READY}"),
        Kind::Elsewhere => String::new(),
    };
    let body: String = blocks(document).into_iter().map(part).collect();
    format!("set -euxo pipefail\n{body}")
}

/// A shell and all that it started, ended with this value.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        // Refused once every process of the group has ended.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Runs a document. Returns how its script ended, and what it printed.
fn run(document: &str) -> (ExitStatus, String) {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    fs::create_dir_all(at("bin")).unwrap();
    fs::create_dir_all(at("reader")).unwrap();
    for (name, text) in [("cargo", CARGO), ("pkill", PKILL), ("pgrep", PGREP)] {
        fs::write(at("bin").join(name), text).unwrap();
        fs::set_permissions(at("bin").join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let address = Server::prepare(Options::new()).address();
    let script = script(document).replace("127.0.0.1:8080", &address);
    let mut command = reader(&at("bin"), &address);
    command.args(["-c", &script]).current_dir(at("reader")).env("SERVER", at("server"));
    let log = File::create(at("log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut shell = Shell(command.spawn().unwrap());
    let ended = poll(PATIENCE, || shell.0.try_wait().unwrap());
    drop(shell);
    let printed = fs::read_to_string(at("log")).unwrap();
    (ended.unwrap_or_else(|| panic!("not done after {PATIENCE:?}:\n{printed}")), printed)
}

/// A shell with the stand-ins before all other programs, and none of our variables but the address.
fn reader(stand_ins: &Path, address: &str) -> Command {
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOLDFAST_")) {
        command.env_remove(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", stand_ins.display())).env("HOLDFAST", binary());
    command.env("HOLDFAST__SERVER__LISTEN", address).env("HOLDFAST__ENGINE__MEMORY_AHEAD_MB", "0");
    command.stdin(Stdio::null()).process_group(0);
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Markdown file of this tree that is not of a build, by its path from the top.
fn markdown(under: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(under)).unwrap() {
        let entry = entry.unwrap();
        let path = Path::new(under).join(entry.file_name()).to_str().unwrap().to_owned();
        if entry.file_type().unwrap().is_dir() {
            if !under.is_empty() || path == "docs" {
                found.extend(markdown(&path));
            }
        } else if Path::new(&path).extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The documents whose shell blocks are run.
fn walked() -> Vec<String> {
    let guides = markdown("docs/guides");
    std::iter::once("README.md".to_owned()).chain(guides).collect()
}

#[test]
fn every_shell_block_of_the_readme_and_the_guides_runs() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("README.md and docs/guides", "curl is not installed");
    }
    let documents = walked();
    let ran = std::thread::scope(|scope| {
        let start = |path: &String| {
            let document = read(path);
            scope.spawn(move || run(&document))
        };
        let runs: Vec<_> = documents.iter().map(start).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    for (path, (status, printed)) in documents.iter().zip(ran) {
        assert!(status.success(), "{path}: {status}\n{printed}");
    }
}

#[test]
fn a_block_that_is_not_run_here_is_listed_with_what_runs_it() {
    let count = |path: &String| blocks(&read(path)).iter().filter(|(kind, _)| *kind == Kind::Elsewhere).count();
    let skipped: Vec<_> = walked().into_iter().map(|path| (count(&path), path)).filter(|(count, _)| *count > 0).collect();
    let listed: Vec<_> = ELSEWHERE.iter().map(|(path, count, _)| (*count, (*path).to_owned())).collect();
    assert_eq!(skipped, listed);
    for (path, _, by) in ELSEWHERE {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        assert!(read(by).contains(name), "{by} does not read {path}");
    }
}

#[test]
fn a_document_fails_with_the_first_command_that_does() {
    let (status, printed) = run("```sh\necho one\n```\ntext\n```json\n{}\n```\n```sh\nfalse\necho two\n```\n");
    assert!(!status.success() && printed.contains("one") && !printed.contains("two"), "{status}: {printed}");
    let (status, printed) = run("```sh\ncargo build\n```\n");
    assert!(!status.success() && printed.contains("mark this block as elsewhere"), "{status}: {printed}");
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading_that_are_there() {
    let broken: Vec<String> = markdown("").iter().flat_map(|path| broken_links(path)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

fn broken_links(path: &str) -> Vec<String> {
    let document = read(path);
    let prose: String = document.split("```").step_by(2).collect();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()));
    let inner = targets.filter(|target| !target.contains("://"));
    inner.filter(|target| !leads(path, target)).map(|target| format!("{path}: {target}")).collect()
}

/// Whether a link of `from` leads somewhere in this tree.
fn leads(from: &str, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { root().join(from) } else { root().join(from).with_file_name(file) };
    if anchor.is_empty() {
        return path.exists();
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().any(|line| line.starts_with('#') && slug(line) == anchor)
}

/// The anchor that a heading gets.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
