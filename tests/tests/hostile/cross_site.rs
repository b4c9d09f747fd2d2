//! Web pages of other sites: what they may not change.
