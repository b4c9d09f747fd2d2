//! The console on the real binary: in Debian's Chromium, and by requests as a browser or a stranger sends them.
//!
//! Invariant: without a browser what needs one says loudly that it was skipped, and fails where nothing may be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(test)]
mod access;
#[cfg(test)]
mod axe;
mod browser;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod keyboard;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod numbers;
mod site;
#[cfg(test)]
mod steering;
