//! Work on several threads whose results come in the order of the items, with few of them waiting.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

/// Results that may wait for an earlier one, for each thread.
const WAITING: usize = 2;

/// Does `work` for every item on so many threads, whose number it is told, and hands the results to `take` on this thread, in
/// the order of the items. An error of `take` ends it, once the items that were begun are done.
///
/// # Errors
/// That of `take`.
pub fn in_order<T: Send, R: Send, E>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(usize, T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let queue = Queue {
        state: Mutex::new(State { items: items.enumerate(), taken: 0, is_stopped: false }),
        moved: Condvar::new(),
        most: WAITING * threads.max(1),
    };
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for thread in 0..threads.max(1) {
            let (send, queue, work) = (send.clone(), &queue, &work);
            scope.spawn(move || {
                let _stop = StopAtPanic(queue);
                while let Some((at, item)) = queue.next() {
                    if send.send((at, work(thread, item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (at, result) in receive {
            early.insert(at, result);
            while let Some(result) = early.remove(&wanted) {
                let _stop = StopAtPanic(&queue);
                if let Err(error) = take(result) {
                    queue.stop();
                    return Err(error);
                }
                wanted += 1;
                queue.taken(wanted);
            }
        }
        Ok(())
    })
}

struct Queue<I> {
    state: Mutex<State<I>>,
    moved: Condvar,
    most: usize,
}

struct State<I> {
    items: std::iter::Enumerate<I>,
    /// Results that were taken.
    taken: usize,
    is_stopped: bool,
}

impl<I: Iterator> Queue<I> {
    /// Waits while too many results wait.
    fn next(&self) -> Option<(usize, I::Item)> {
        let mut state = self.lock();
        let begun = state.items.next()?;
        while begun.0 >= state.taken + self.most && !state.is_stopped {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.is_stopped).then_some(begun)
    }
}

impl<I> Queue<I> {
    /// A thread that panicked has stopped the rest.
    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self, count: usize) {
        self.lock().taken = count;
        self.moved.notify_all();
    }

    fn stop(&self) {
        self.lock().is_stopped = true;
        self.moved.notify_all();
    }
}

/// Who waits for a result that never comes would wait for ever.
struct StopAtPanic<'a, I>(&'a Queue<I>);

impl<I> Drop for StopAtPanic<'_, I> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[test]
    fn results_come_in_order_and_few_wait() {
        for threads in [1, 2, 7] {
            let (begun, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut taken = Vec::new();
            let work = |thread: usize, i: u64| {
                assert!(thread < threads);
                begun.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(if i == 3 { 20_000 } else { i * 37 % 500 }));
                i
            };
            let done = in_order(threads, 0..200, work, |i| {
                most.fetch_max(begun.load(Ordering::Relaxed) - taken.len(), Ordering::Relaxed);
                taken.push(i);
                Ok::<(), ()>(())
            });
            assert_eq!((done, taken), (Ok(()), (0..200).collect::<Vec<_>>()));
            let most = most.into_inner();
            assert!(most <= (WAITING + 1) * threads, "{most} with {threads} threads");
        }
    }

    #[test]
    fn an_error_ends_it() {
        let begun = AtomicUsize::new(0);
        let work = |_: usize, i: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            i
        };
        let done = in_order(3, 0.., work, |i| if i == 10 { Err("full") } else { Ok(()) });
        assert_eq!(done, Err("full"));
        assert!(begun.into_inner() < 30);
        assert_eq!(in_order(2, 0..0, |_, i: i32| i, |_| Err("nothing to take")), Ok(()));
    }

    #[test]
    fn a_panic_does_not_leave_the_rest_waiting() {
        let panics = || in_order(2, 0..100, |_, i| assert!(i != 5, "this one"), |()| Ok::<(), ()>(()));
        assert!(std::panic::catch_unwind(panics).is_err());
    }
}
