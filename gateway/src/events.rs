//! Events as the outside sees them: CloudEvents 1.0, read after a cursor, items of a timeline.
//!
//! Invariant: every record of the journal is an event, in the dense sequence of its partition: nothing missing, nothing twice.

mod cloud_event;
pub mod cursor;
mod data;
mod describe;
pub mod page;
pub mod reading;
pub mod streams;
#[cfg(test)]
mod tests;

pub use cloud_event::{CloudEvent, TimelineItem, timeline_item};
pub use cursor::Cursor;
pub use describe::TYPE_PREFIX;
pub use page::Page;
pub use reading::{Published, read};
