//! A second server over the same data.
