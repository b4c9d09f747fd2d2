//! The same work on many things, by several threads beside each other.
//!
//! Invariant: what comes of it is what one thread would make of it, in the same order.

use crate::contract::Error;
use std::panic::resume_unwind;
use std::thread;

/// Threads that may be busy at once here.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What becomes of each. With one share the work is done here, with more the caller waits.
///
/// # Errors
/// The first, in the order of the things.
pub(crate) fn each<T: Send, R: Send>(
    threads: usize,
    all: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let all = Vec::from_iter(all);
    let share = all.len().div_ceil(threads.max(1)).max(1);
    if share == all.len() {
        return all.into_iter().map(work).collect();
    }
    let (mut all, mut shares) = (all.into_iter(), Vec::new());
    while all.len() > 0 {
        shares.push(Vec::from_iter(all.by_ref().take(share)));
    }
    thread::scope(|scope| {
        let work = &work;
        let begin = |share: Vec<T>| scope.spawn(move || share.into_iter().map(work).collect::<Result<Vec<R>, Error>>());
        let threads: Vec<_> = shares.into_iter().map(begin).collect();
        let done = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        Ok(done.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_it_is_the_same_by_any_number_of_threads() {
        let squares: Vec<u64> = (0..10).map(|n| n * n).collect();
        for threads in [0, 1, 2, 3, 10, 64] {
            assert_eq!(each(threads, 0..10, |n| Ok(n * n)).unwrap(), squares, "{threads} threads");
            assert!(each(threads, 0..0, |n: u64| Ok(n)).unwrap().is_empty(), "{threads} threads");
        }
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        for threads in [1, 2, 5] {
            let odd = |n: u64| if n.is_multiple_of(2) { Ok(n) } else { Err(Error::Failed(n.to_string())) };
            assert!(matches!(each(threads, 0..10, odd), Err(Error::Failed(first)) if first == "1"), "{threads} threads");
        }
    }

    #[test]
    #[should_panic(expected = "seven")]
    fn a_panic_of_a_thread_is_one_of_the_caller() {
        let _ = each(2, 0..10, |n: u64| if n == 7 { panic!("seven") } else { Ok(n) });
    }
}
