//! The pages, as values made of what there is to show.
//!
//! Invariant: what a page shows in a region that is kept up to date is the same for everybody: what only some may do stands outside.

pub mod audit;
pub mod changes;
pub mod login;
pub mod message;
pub mod order;
pub mod orders;
pub mod overview;
pub mod settings;
pub mod shards;

use super::audits::Audits;
use super::sight::Sight;
use maud::Markup;

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Overview,
    Shards,
    Orders,
    Settings,
    Changes,
    Audit,
    /// Not in the navigation: nobody is signed in.
    Login,
}

impl Page {
    pub const NAVIGATION: &'static [Self] =
        &[Self::Overview, Self::Shards, Self::Orders, Self::Settings, Self::Changes, Self::Audit];

    pub fn path(self) -> &'static str {
        match self {
            Self::Overview => "/console",
            Self::Shards => "/console/shards",
            Self::Orders => "/console/orders",
            Self::Settings => "/console/settings",
            Self::Changes => "/console/changes",
            Self::Audit => "/console/audit",
            Self::Login => "/console/login",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Shards => "Shards",
            Self::Orders => "Orders",
            Self::Settings => "Settings",
            Self::Changes => "Changes",
            Self::Audit => "Audit",
            Self::Login => "Sign in",
        }
    }
}

/// The pages with regions that are kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    Overview,
    Shards,
    Audit,
}

impl Live {
    pub const ALL: &'static [Self] = &[Self::Overview, Self::Shards, Self::Audit];

    /// As in the address of its frames.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Shards => "shards",
            Self::Audit => "audit",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|page| page.name() == name)
    }
}

/// All regions of a page that are kept up to date.
pub fn regions(page: Live, sight: &Sight, audits: &Audits) -> Markup {
    match page {
        Live::Overview => overview::regions(sight),
        Live::Shards => shards::regions(sight),
        Live::Audit => audit::regions(audits.now().as_ref()),
    }
}
