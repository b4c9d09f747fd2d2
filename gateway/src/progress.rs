//! A progress bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

pub struct Bar(ProgressBar);

/// A bar over commits. Hidden where nobody looks.
pub fn bar(label: &'static str, shown: bool) -> Bar {
    let target = match shown && std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} commits, {eta} left");
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
