//! Runs what is ready, side by side, in the order of a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, PoisonError};

/// How a node of the graph ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended<E> {
    /// It was done.
    Done,
    /// It failed.
    Failed(E),
    /// It was not begun, because something that it needs wasn't done.
    Skipped,
}

struct State<E> {
    /// What can be begun, smallest first.
    ready: BTreeSet<usize>,
    /// What each waiting node still waits for.
    waiting: BTreeMap<usize, BTreeSet<usize>>,
    running: usize,
    ended: BTreeMap<usize, Ended<E>>,
}

/// Runs each of `nodes` when all that it `needs` has been done, at most `jobs` at a time.
///
/// Among those that are ready, the smallest goes first. When one fails, those that need it are
/// skipped and all others still run, so that no work is lost. A need that is not one of `nodes` is
/// taken as done. The graph must not have a cycle; nodes of one would be skipped.
pub fn schedule<E: Send>(
    nodes: &[usize],
    needs: impl Fn(usize) -> Vec<usize>,
    jobs: usize,
    run: impl Fn(usize) -> Result<(), E> + Sync,
) -> BTreeMap<usize, Ended<E>> {
    let known: BTreeSet<usize> = nodes.iter().copied().collect();
    let mut dependants: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut state = State {
        ready: BTreeSet::new(),
        waiting: BTreeMap::new(),
        running: 0,
        ended: BTreeMap::new(),
    };
    for &node in &known {
        let waits: BTreeSet<usize> =
            needs(node).into_iter().filter(|need| known.contains(need)).collect();
        for &need in &waits {
            dependants.entry(need).or_default().push(node);
        }
        if waits.is_empty() {
            state.ready.insert(node);
        } else {
            state.waiting.insert(node, waits);
        }
    }
    let workers = jobs.clamp(1, known.len().max(1));
    let state = Mutex::new(state);
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        // This thread is one of the workers: a graph of one node starts no thread at all.
        for _ in 1..workers {
            scope.spawn(|| work(&state, &changed, &dependants, &run));
        }
        work(&state, &changed, &dependants, &run);
    });
    let mut state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    for node in std::mem::take(&mut state.waiting).into_keys() {
        state.ended.insert(node, Ended::Skipped);
    }
    state.ended
}

fn work<E: Send>(
    state: &Mutex<State<E>>,
    changed: &Condvar,
    dependants: &BTreeMap<usize, Vec<usize>>,
    run: &(impl Fn(usize) -> Result<(), E> + Sync),
) {
    let mut locked = state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(node) = locked.ready.pop_first() else {
            if locked.running == 0 {
                changed.notify_all();
                return;
            }
            locked = changed.wait(locked).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        locked.running += 1;
        drop(locked);
        let unwinding = Unwinding { state, changed };
        let result = run(node);
        std::mem::forget(unwinding);
        locked = state.lock().unwrap_or_else(PoisonError::into_inner);
        locked.running -= 1;
        match result {
            Ok(()) => {
                locked.ended.insert(node, Ended::Done);
                for &next in dependants.get(&node).into_iter().flatten() {
                    let Some(waits) = locked.waiting.get_mut(&next) else { continue };
                    waits.remove(&node);
                    if waits.is_empty() {
                        locked.waiting.remove(&next);
                        locked.ready.insert(next);
                    }
                }
            }
            Err(error) => {
                locked.ended.insert(node, Ended::Failed(error));
            }
        }
        changed.notify_all();
    }
}

/// Lets the other workers end when one panics, so that the panic is seen and nothing waits for it.
struct Unwinding<'a, E> {
    state: &'a Mutex<State<E>>,
    changed: &'a Condvar,
}

impl<E> Drop for Unwinding<'_, E> {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        state.ready.clear();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// `edges` are pairs of a node and what it needs.
    fn check(
        nodes: &[usize],
        edges: &[(usize, usize)],
        fails: &[usize],
        expected: &[(usize, Ended<()>)],
    ) {
        for jobs in [1, 2, 8] {
            let order = Mutex::new(Vec::new());
            let ended = schedule(
                nodes,
                |node| edges.iter().filter(|edge| edge.0 == node).map(|edge| edge.1).collect(),
                jobs,
                |node| {
                    order.lock().unwrap().push(node);
                    if fails.contains(&node) { Err(()) } else { Ok(()) }
                },
            );
            assert_eq!(ended, expected.iter().cloned().collect(), "{jobs} jobs");
            let order = order.into_inner().unwrap();
            for (node, need) in edges {
                let at = |node| order.iter().position(|ran| ran == node);
                if let (Some(node), Some(need)) = (at(node), at(need)) {
                    assert!(need < node, "{jobs} jobs: {order:?}");
                }
            }
        }
    }

    #[test]
    fn needs_go_first() {
        let done = Ended::Done;
        check(
            &[0, 1, 2, 3],
            &[(3, 1), (3, 2), (1, 0), (2, 0)],
            &[],
            &[(0, done.clone()), (1, done.clone()), (2, done.clone()), (3, done)],
        );
        check(&[], &[], &[], &[]);
    }

    #[test]
    fn a_failure_skips_only_what_needs_it() {
        check(
            &[0, 1, 2, 3],
            &[(2, 0), (3, 1)],
            &[0],
            &[(0, Ended::Failed(())), (1, Ended::Done), (2, Ended::Skipped), (3, Ended::Done)],
        );
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_passed_on_and_nothing_hangs() {
        let both = std::sync::Barrier::new(2);
        schedule(
            &[0, 1, 2],
            |node| if node == 2 { vec![1] } else { Vec::new() },
            2,
            |node| -> Result<(), ()> {
                // On two threads, of which one panics. The third node may still be begun by the other.
                if node < 2 {
                    both.wait();
                }
                assert!(std::thread::current().name().is_some(), "a worker has no name");
                Ok(())
            },
        );
    }

    #[test]
    fn independent_nodes_run_side_by_side() {
        let running = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let met = std::sync::Barrier::new(2);
        schedule(
            &[0, 1],
            |_| Vec::new(),
            2,
            |_| -> Result<(), ()> {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                met.wait();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            },
        );
        assert_eq!(most.into_inner(), 2);
    }
}
