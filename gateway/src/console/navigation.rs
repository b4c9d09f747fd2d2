//! The pages there are: their addresses, their titles, and which of them are kept up to date.
//!
//! Invariant: an address of a page is written here and nowhere else.

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
