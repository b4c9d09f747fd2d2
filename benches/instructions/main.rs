//! Counts the instructions of the eight hottest operations with callgrind and holds them to `instructions.toml`.
//!
//! Times differ by themselves on a machine that others use; the counts of one build repeat.

mod workloads;

use clap::Parser;
use holdfast_benches::baseline::{Baseline, Counted, Counts, Findings};
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use workloads::{OPERATIONS, WORKLOADS};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");
const HEAD: &str = "\
# Instructions of one operation, by kind of build, as `instructions --write` counted them. See docs/performance.md.\n\n";

/// Counts instructions with callgrind and compares them with those that are kept.
#[derive(Parser)]
struct Args {
    /// Keep what is counted now.
    #[arg(long)]
    write: bool,
    /// Do the work: this is what runs under callgrind.
    #[arg(long, hide = true)]
    work: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    if args.work {
        work();
        return Ok(ExitCode::SUCCESS);
    }
    let counted = Counted { rustc: rustc()?, instructions: count()? };
    let mut baseline: Baseline = toml::from_str(&fs::read_to_string(KEPT)?)?;
    let findings = baseline.compare(build(), &counted);
    show(&findings);
    if args.write {
        baseline.0.insert(build().to_owned(), counted);
        fs::write(KEPT, HEAD.to_owned() + &toml::to_string(&baseline)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if findings.regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(findings: &Findings) {
    println!("operation            counted      kept  change\n{}", findings.table);
    findings.note.iter().chain(&findings.regressions).for_each(|sentence| println!("{sentence}"));
}

/// What instructions depend on beside the compiler: `cargo build` divides a crate otherwise where it builds incrementally.
fn build() -> &'static str {
    match (cfg!(debug_assertions), option_env!("CARGO_INCREMENTAL")) {
        (false, _) => "release",
        (true, Some("0")) => "dev",
        (true, _) => "dev incremental",
    }
}

fn rustc() -> Result<String, Box<dyn Error>> {
    let said = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// Each once to have everything in place, then once to be counted.
fn work() {
    for (_, prepare) in WORKLOADS {
        let mut work = prepare();
        work();
        counted_by_callgrind(&mut *work);
        dumped_by_callgrind();
    }
}

/// What happens in here is collected.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    // So that it does not end with a jump into the work.
    black_box(());
}

/// What was collected is written when this is called.
#[inline(never)]
fn dumped_by_callgrind() {
    black_box(());
}

fn count() -> Result<Counts, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("out");
    let mut callgrind = Command::new("valgrind");
    callgrind.args(["--tool=callgrind", "--toggle-collect=*counted_by_callgrind*", "--dump-before=*dumped_by_callgrind*"]);
    callgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(std::env::current_exe()?).arg("--work");
    let ran = callgrind.stdout(Stdio::null()).output().map_err(|error| format!("valgrind does not run ({error}): install it"))?;
    if !ran.status.success() {
        return Err(format!("callgrind ended with {}: {}", ran.status, String::from_utf8_lossy(&ran.stderr)).into());
    }
    let counts = (1..).zip(WORKLOADS).map(|(part, (name, _))| {
        let collected = collected(&out.with_extension(part.to_string()))?;
        Ok((name.to_owned(), collected.div_ceil(OPERATIONS)))
    });
    counts.collect()
}

/// What one dump has collected.
fn collected(dump: &Path) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string(dump).map_err(|error| format!("{}: {error}", dump.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    let total = total.ok_or_else(|| format!("{} has no total", dump.display()))?;
    Ok(total.trim().parse()?)
}
