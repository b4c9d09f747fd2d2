//! A progress bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

pub struct Bar(ProgressBar);

/// A bar over commits. Hidden where nobody looks.
pub fn bar(label: &'static str, shown: bool) -> Bar {
    bar_of(label, shown, "{pos}/{len} commits, {eta} left")
}

/// A bar over bytes.
pub fn bar_of_bytes(label: &'static str) -> Bar {
    bar_of(label, true, "{bytes}/{total_bytes}, {eta} left")
}

/// A bar over partitions that move.
pub fn bar_of_moves() -> Bar {
    bar_of("moving partitions", true, "moved {pos} of {len}")
}

fn bar_of(label: &'static str, shown: bool, done: &str) -> Bar {
    let target =
        if shown && std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(&format!("{{msg}} [{{bar:40}}] {done}"));
    let bar = ProgressBar::with_draw_target(Some(0), target).with_message(label);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    Bar(bar)
}

impl Bar {
    pub fn at(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
