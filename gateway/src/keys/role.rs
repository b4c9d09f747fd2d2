//! The roles of API keys, and the sets of them that the table of routes names.
//!
//! Invariant: a key has one role. A key whose entry names none is of a storefront, so that keys of earlier versions reach no operator's
//! path.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What the owner of a key may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Role {
    /// Everything of the API under /v1.
    #[default]
    Storefront,
    /// Every GET, operators' paths included.
    Viewer,
    /// Everything.
    Admin,
}

/// Reads of the API.
pub const EVERY_ROLE: &[Role] = &[Role::Storefront, Role::Viewer, Role::Admin];
/// Writes of the API.
pub const SHOPS: &[Role] = &[Role::Storefront, Role::Admin];
/// Reads of operators.
pub const OPERATORS: &[Role] = &[Role::Viewer, Role::Admin];
/// Writes of operators.
pub const ADMINS: &[Role] = &[Role::Admin];

impl Role {
    pub const ALL: &'static [Self] = EVERY_ROLE;

    /// As in the settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storefront => "storefront",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }

    /// Whether links that let a buyer pay are for it: whoever has one can press its buttons.
    pub fn may_pay(self) -> bool {
        SHOPS.contains(&self)
    }

    /// Whether what operators change is for it.
    pub fn sees_changes(self) -> bool {
        OPERATORS.contains(&self)
    }

    /// Files of keys leave it out: files of storefronts alone stay as earlier versions read and write them.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
