//! How far batches may be ahead of the tables.
//!
//! Invariant: an item waits for the tables no longer than answers are waited for, or than the server serves; then it is refused, not
//! executed, and those after it wait no more.

use super::super::sender::BUSY_PAUSE;
use crate::http::problem::{Code, Problem};
use crate::state::App;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Closed orders that wait to be written to tables. With more of them batches wait: they are what can place, and let expire, more than
/// the tables take up.
const MOST_CLOSED: usize = 16_384;

/// The tables as one batch waits for them.
pub(super) struct Tables {
    timeout: Duration,
    given_up: Cell<bool>,
}

impl Tables {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, given_up: Cell::new(false) }
    }

    /// Waits until they are not too far behind.
    ///
    /// # Errors
    /// Why the next item is not sent.
    pub(super) async fn let_follow(&self, app: &App) -> Result<(), Problem> {
        let behind = || app.live.load().as_ref().is_some_and(|live| live.projector.queued() > MOST_CLOSED);
        self.wait_while(behind, || app.is_closing()).await
    }

    async fn wait_while(&self, behind: impl Fn() -> bool, closing: impl Fn() -> bool) -> Result<(), Problem> {
        let give_up_at = Instant::now() + self.timeout;
        while behind() {
            if closing() {
                return Err(Problem::new(Code::ShuttingDown, "the server stops: this item was not executed"));
            }
            if self.given_up.get() || Instant::now() >= give_up_at {
                self.given_up.set(true);
                let detail = "too many closed orders wait to be written to the tables; this item was not executed";
                return Err(Problem::new(Code::Overloaded, detail));
            }
            sleep(BUSY_PAUSE).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn code(waited: Result<(), Problem>) -> Option<Code> {
        waited.err().map(|problem| problem.code)
    }

    #[actix_web::test]
    async fn an_item_waits_for_the_tables_until_they_have_followed() {
        tokio::time::pause();
        let (tables, looks) = (Tables::new(TIMEOUT), Cell::new(0));
        let behind = || looks.replace(looks.get() + 1) < 9;
        assert_eq!(code(tables.wait_while(behind, || false).await), None);
        assert_eq!(looks.get(), 10);
    }

    #[actix_web::test]
    async fn tables_that_do_not_follow_are_given_up_once_and_the_items_behind_wait_no_more() {
        tokio::time::pause();
        let (tables, started) = (Tables::new(TIMEOUT), Instant::now());
        for _ in 0..4096 {
            assert_eq!(code(tables.wait_while(|| true, || false).await), Some(Code::Overloaded));
        }
        assert!((TIMEOUT..2 * TIMEOUT).contains(&started.elapsed()), "{:?}", started.elapsed());
        assert_eq!(code(tables.wait_while(|| false, || false).await), None, "they have followed after all");
    }

    #[actix_web::test]
    async fn nobody_waits_for_the_tables_of_a_server_that_stops() {
        tokio::time::pause();
        let (tables, started, closing) = (Tables::new(TIMEOUT), Instant::now(), Cell::new(false));
        let (waited, ()) = futures_util::join!(tables.wait_while(|| true, || closing.get()), async {
            sleep(TIMEOUT / 4).await;
            closing.set(true);
        });
        assert_eq!(code(waited), Some(Code::ShuttingDown));
        assert!(started.elapsed() < TIMEOUT / 2, "{:?}", started.elapsed());
    }
}
