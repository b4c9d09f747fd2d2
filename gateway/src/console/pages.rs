//! The pages, as values made of what there is to show.
//!
//! Invariant: what a page shows in a region that is kept up to date is the same for everybody: what only some may do stands outside.

pub mod audit;
pub mod changes;
mod heat;
pub mod login;
pub mod message;
pub mod order;
pub mod orders;
pub mod overview;
pub mod settings;
pub mod shards;

pub use super::navigation::{Live, Page};

use super::audits::Audits;
use super::sight::Sight;
use maud::Markup;

/// All regions of a page that are kept up to date.
pub fn regions(page: Live, sight: &Sight, audits: &Audits) -> Markup {
    match page {
        Live::Overview => overview::regions(sight),
        Live::Shards => shards::regions(sight),
        Live::Audit => audit::regions(audits.now().as_ref()),
    }
}
