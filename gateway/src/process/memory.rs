//! Memory taken from the system ahead of load, by a thread that runs only when nobody else wants to (ADR 0011).
//!
//! Open orders need memory that the process never used before, and the system hands it out at the first touch, a page at a time,
//! while a shard waits. The thread looks how many pages others had to touch first, and touches more of them beforehand.
//! Invariants: nothing is taken before load asks for it; what is ahead is never more than `engine.memory_ahead_mb` or a share of
//! what this process may use, and goes back when load ends; nobody waits for it.

mod limits;

use holdfast_storage::background;
use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};
pub(crate) use limits::available;
use std::fs::read_to_string;
use std::hint::black_box;
use std::os::raw::c_long;
use std::time::Duration;
use std::{io, thread};

/// What the allocator takes from the system at a time, and hands from one thread to another. A larger piece takes two of them: it
/// rounds up to whole MiB and puts its own notes before them.
const PIECE: u64 = 32 << 20;
const NOTES: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// Of what is available, one part in so many may be ahead.
const SHARE: u64 = 8;

/// How often the thread looks while there is load, and while there is none.
const LOOK: Duration = Duration::from_millis(100);
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// Fewer pages between two looks are no load.
const LOAD_PAGES: u64 = 256;
/// Looks without load after which the thread looks less often, and gives back what is ahead.
const QUIET_LOOKS: u32 = 100;

/// How long the allocator keeps what was freed, in milliseconds. Its bindings do not name this option.
const PURGE_DELAY: mi_option_t = 15;
/// A thousand times its default. Buffers come and go with each commit: given back each time, they would be touched first each time.
const TEN_SECONDS: c_long = 10_000;

/// Has the allocator keep for a while what is freed. To be called while the process has one thread.
#[expect(unsafe_code, reason = "ADR 0011: the options of the allocator are only to be had from its C interface")]
pub(crate) fn keep_freed() {
    // SAFETY: the option exists (tested below). It is a plain variable of C that every thread reads: none but this one is there yet.
    unsafe { mi_option_set(PURGE_DELAY, TEN_SECONDS) };
}

/// Gives everything back to the system that the allocator keeps and nobody uses.
#[expect(unsafe_code, reason = "ADR 0011: the allocator gives back early only if asked by its C interface")]
fn give_back() {
    // SAFETY: any thread may call it at any time; it collects what this thread freed and what is free for all.
    unsafe { mi_collect(true) };
}

/// Starts the thread, which may have so many MiB ahead. 0: none.
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn follow_load(mib: u64) -> io::Result<()> {
    if mib == 0 {
        return Ok(());
    }
    thread::Builder::new().name("memory".to_owned()).spawn(move || {
        background::yield_to_the_hot_path();
        run(mib);
    })?;
    Ok(())
}

/// Goes on for as long as the process lives and the system says what was touched.
fn run(mib: u64) {
    let Some(touched) = touched_by_others() else { return };
    let mut follower = Follower { touched, ..Follower::default() };
    let ahead = metrics::gauge!("holdfast_memory_ahead_bytes");
    loop {
        thread::sleep(follower.pause());
        let Some(touched) = touched_by_others() else { return };
        match follower.look(touched) {
            Step::Nothing => {}
            Step::Take(wanted) => ahead.set(take(wanted, most(mib, available())) as f64),
            Step::GiveBack => {
                give_back();
                ahead.set(0.0);
            }
        }
    }
}

/// What to do after a look.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// Have so many bytes ahead.
    Take(u64),
    GiveBack,
}

#[derive(Default)]
struct Follower {
    /// Pages others had touched first at the last look.
    touched: u64,
    /// Looks without load since the last one with it.
    quiet: u32,
    ahead: bool,
}

impl Follower {
    /// What others still had to touch first is what load asks for and was not ahead: twice that is to be ahead now. The later this
    /// thread comes to look, as processors are busy, the more it is.
    fn look(&mut self, touched: u64) -> Step {
        let pages = touched.saturating_sub(self.touched);
        self.touched = touched;
        if pages >= LOAD_PAGES {
            (self.quiet, self.ahead) = (0, true);
            return Step::Take(2 * pages * PAGE);
        }
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet >= QUIET_LOOKS && std::mem::take(&mut self.ahead) { Step::GiveBack } else { Step::Nothing }
    }

    fn pause(&self) -> Duration {
        if self.quiet < QUIET_LOOKS { LOOK } else { IDLE_LOOK }
    }
}

/// Bytes that may be ahead: whole pieces of so many MiB, or of the share of what is available.
fn most(mib: u64, available: Option<u64>) -> u64 {
    let spare = available.map_or(u64::MAX, |available| available / SHARE);
    mib.saturating_mul(1 << 20).min(spare) / PIECE * PIECE
}

/// Has so many bytes ahead, in whole pieces and up to `most`, and leaves them with the allocator. Returns how much that is. The
/// allocator hands out what was freed last time before what nobody touched yet, so that comes first here too.
fn take(wanted: u64, most: u64) -> u64 {
    let count = wanted.div_ceil(PIECE).min(most / PIECE);
    // All of them before the first is freed, which would be the next otherwise.
    let pieces: Vec<_> = (0..count).map_while(|_| touched_piece()).collect();
    pieces.len() as u64 * PIECE
}

/// A piece of which every page was touched. `None` if there is none to be had.
fn touched_piece() -> Option<Vec<u8>> {
    let mut piece: Vec<u8> = Vec::new();
    piece.try_reserve_exact((PIECE - NOTES) as usize).ok()?;
    let mut pages = piece.spare_capacity_mut().iter_mut().step_by(PAGE as usize);
    let before = touched_by_this_thread();
    // The last: an allocator may have written its notes to the first.
    pages.next_back().map(|byte| byte.write(0));
    // Else it was freed as a whole by an earlier turn: its other pages were touched then.
    if touched_by_this_thread() > before {
        pages.for_each(|byte| {
            byte.write(0);
        });
    }
    Some(black_box(piece))
}

/// Pages that this process touched first, those of this thread left out. `None` where the system does not say.
fn touched_by_others() -> Option<u64> {
    Some(first_touches("/proc/self/stat")?.saturating_sub(touched_by_this_thread()?))
}

fn touched_by_this_thread() -> Option<u64> {
    first_touches("/proc/thread-self/stat")
}

fn first_touches(file: &str) -> Option<u64> {
    minor_faults(&read_to_string(file).ok()?)
}

/// The tenth field; the second is a name in brackets, with whatever it likes in it.
fn minor_faults(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libmimalloc_sys::mi_option_get;

    #[test]
    #[expect(unsafe_code, reason = "reads the option that the code above sets by its number")]
    fn the_option_set_by_its_number_is_the_delay_of_purges() {
        // SAFETY: it only reads an integer.
        assert_eq!(unsafe { mi_option_get(PURGE_DELAY) }, 10, "not the default: are the options numbered anew?");
    }

    #[test]
    fn a_small_machine_gives_an_eighth_of_what_it_has() {
        let gib = |count: u64| Some(count << 30);
        let pieces = |mib, available| most(mib, available) / PIECE;
        assert_eq!([None, gib(24), gib(4), gib(2)].map(|available| pieces(512, available)), [16, 16, 16, 8]);
        assert_eq!([0, 31, 32, 65].map(|mib| pieces(mib, gib(24))), [0, 0, 1, 2]);
        assert_eq!(most(u64::MAX, Some(100 << 20)), 0);
    }

    #[test]
    fn twice_what_load_asked_for_is_taken_and_given_back_once_after_it() {
        let mut follower = Follower { touched: 1_000, ..Follower::default() };
        assert_eq!(follower.look(1_000 + LOAD_PAGES - 1), Step::Nothing, "an idle server takes something");
        let touched = 3_000;
        assert_eq!(follower.look(touched), Step::Take(2 * PAGE * (touched - 1_255)));
        let steps: Vec<Step> = (0..3 * QUIET_LOOKS).map(|_| follower.look(touched)).collect();
        let given_back: Vec<usize> = (0..steps.len()).filter(|look| steps[*look] != Step::Nothing).collect();
        assert_eq!((given_back, &steps[99]), (vec![99], &Step::GiveBack));
        assert_eq!(follower.pause(), IDLE_LOOK);
        assert_eq!(follower.look(touched + LOAD_PAGES), Step::Take(2 * PAGE * LOAD_PAGES));
        assert_eq!(follower.pause(), LOOK);
    }

    #[test]
    fn as_much_is_ahead_as_is_wanted_in_whole_pieces_and_no_more_than_may_be() {
        let taken = [(1, 3), (PIECE + 1, 3), (u64::MAX, 3), (1, 0)].map(|(wanted, most)| take(wanted, most * PIECE) / PIECE);
        assert_eq!(taken, [1, 2, 3, 0]);
    }

    #[test]
    fn pages_touched_first_are_counted() {
        let before = touched_by_this_thread().unwrap();
        // What other tests freed comes first. All but that is touched now.
        let pieces: Vec<_> = (0..6).map(|_| touched_piece().unwrap()).collect();
        assert!(touched_by_this_thread().unwrap() > before + (PIECE - NOTES) / PAGE);
        assert!(pieces.iter().all(|piece| piece.capacity() as u64 >= PIECE - NOTES));
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 1234 0 56 0 1 2 3";
        assert_eq!(minor_faults(stat), Some(1234));
    }
}
