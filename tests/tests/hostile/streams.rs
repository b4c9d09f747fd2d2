//! Readers of events that do not read.
