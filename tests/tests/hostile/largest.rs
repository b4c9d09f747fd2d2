//! The largest requests that the limits admit, and those one beyond.
