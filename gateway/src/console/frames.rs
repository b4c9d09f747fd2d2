//! Frames: the regions of a page that change, rendered once a second for all who look at it.
//!
//! Invariants: a page that nobody looks at is not rendered; everybody who looks at one gets the same bytes; no more look at once than
//! [`MOST_VIEWERS`].

use super::audits::Audits;
use super::pages::{Live, regions};
use super::sight::Sight;
use actix_web::web::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// Tabs that are kept up to date at once.
pub const MOST_VIEWERS: usize = 32;

pub struct Frames {
    pages: Vec<(Live, watch::Sender<Bytes>)>,
    viewers: Arc<AtomicUsize>,
}

/// As many look as may.
#[derive(Debug)]
pub struct Full;

/// One who looks at a page, until it is dropped.
pub struct Viewer {
    frames: watch::Receiver<Bytes>,
    _place: Place,
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Default for Frames {
    fn default() -> Self {
        let pages = Live::ALL.iter().map(|page| (*page, watch::Sender::new(Bytes::new()))).collect();
        Self { pages, viewers: Arc::default() }
    }
}

impl Frames {
    /// Whether anybody looks at any page.
    pub fn are_watched(&self) -> bool {
        self.viewers() > 0
    }

    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::SeqCst)
    }

    /// # Errors
    /// If as many look as may.
    pub fn enter(&self, page: Live) -> Result<Viewer, Full> {
        let room = |viewers: usize| (viewers < MOST_VIEWERS).then_some(viewers + 1);
        self.viewers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).map_err(|_| Full)?;
        let place = Place(self.viewers.clone());
        let (_, frames) = self.pages.iter().find(|(of, _)| *of == page).ok_or(Full)?;
        Ok(Viewer { frames: frames.subscribe(), _place: place })
    }

    /// Renders the pages that are looked at and hands them out.
    pub fn publish(&self, sight: &Sight, audits: &Audits) {
        for (page, frames) in self.pages.iter().filter(|(_, frames)| frames.receiver_count() > 0) {
            frames.send_replace(event(&regions(*page, sight, audits).into_string()));
        }
    }
}

/// A server-sent event. Each of its lines is marked as such, whatever is in the text.
fn event(html: &str) -> Bytes {
    let mut text = String::with_capacity(html.len() + 32);
    text.push_str("event: frame\n");
    for line in html.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    Bytes::from(text)
}

impl Viewer {
    /// The next frame. `None`: there will be none.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.frames.changed().await.ok()?;
        Some(self.frames.borrow_and_update().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_look_and_the_next_one_once_one_of_them_has_gone() {
        let frames = Frames::default();
        let mut viewers: Vec<Viewer> = (0..MOST_VIEWERS).map(|_| frames.enter(Live::Shards).unwrap()).collect();
        assert!(frames.enter(Live::Overview).is_err());
        viewers.pop();
        assert!(frames.enter(Live::Overview).is_ok());
        drop(viewers);
        assert!(!frames.are_watched());
    }

    #[test]
    fn a_text_of_several_lines_is_one_event() {
        assert_eq!(event("<p>a\nb\rc</p>"), Bytes::from_static(b"event: frame\ndata: <p>a\ndata: b\ndata: c</p>\n\n"));
    }
}
