//! Commands that break an invariant, again and again.
