//! The work that is counted can be done. Because this package has a test that runs it, `cargo test --workspace` builds `instructions`
//! together with everything else, and CI counts the build that its tests run.

use std::process::Command;

#[test]
fn every_operation_that_is_counted_can_be_done() {
    let done = Command::new(env!("CARGO_BIN_EXE_instructions")).arg("--work").output();
    let done = done.unwrap_or_else(|error| panic!("instructions does not run: {error}"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
