//! The binary as it is built for the tests of the whole workspace.
//!
//! Because this package has a test that runs it, `cargo test --workspace` builds `holdfast` together with everything else, and the
//! black-box suites find the binary of the code they test, not an older one.

use std::process::{Command, Output};

fn holdfast(arguments: &[&str]) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_holdfast")).args(arguments).output();
    run.unwrap_or_else(|error| panic!("holdfast does not run: {error}"))
}

#[test]
fn help_teaches_every_command_with_an_example() {
    let help = String::from_utf8(holdfast(&["--help"]).stdout).unwrap();
    for command in
        ["serve", "verify", "export", "backup", "restore", "inspect", "config", "key", "openapi", "healthcheck", "completions"]
    {
        assert!(help.contains(command), "{command} is not in\n{help}");
        let taught = String::from_utf8(holdfast(&[command, "--help"]).stdout).unwrap();
        assert!(taught.contains("Example:\n  "), "{command} --help has no example:\n{taught}");
    }
}

#[test]
fn what_is_no_command_is_refused_with_exit_code_2() {
    let refused = holdfast(&["sell"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--help"));
}
