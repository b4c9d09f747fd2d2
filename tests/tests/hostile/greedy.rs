//! Greedy clients beside a modest one.
