//! Runs what is ready, side by side, in the order of a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, PoisonError};

/// Nodes that have workers of their own: what waits for the network is no reason for a processor to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane<'a> {
    /// Which they are.
    pub nodes: &'a [usize],
    /// How many of them are done at a time.
    pub workers: usize,
}

struct State {
    /// What can be begun in each lane, smallest first.
    ready: Vec<BTreeSet<usize>>,
    /// What each waiting node still waits for.
    waiting: BTreeMap<usize, BTreeSet<usize>>,
    running: usize,
}

/// What the workers have in common.
struct Graph<'a, R> {
    state: Mutex<State>,
    changed: Condvar,
    dependants: BTreeMap<usize, Vec<usize>>,
    lanes: BTreeMap<usize, usize>,
    run: &'a R,
}

/// Runs each node of `lanes` when all that it `needs` has been run.
///
/// Among those of a lane that are ready, the smallest goes first. Whether what came of its needs is of any use
/// is for `run` to see. A need that is in no lane is taken as done. The graph must not have a cycle; nodes of
/// one would be left out.
pub fn schedule<R: Fn(usize) + Sync>(
    lanes: &[Lane<'_>],
    needs: impl Fn(usize) -> Vec<usize>,
    run: R,
) {
    let numbered = lanes.iter().enumerate();
    let lane_of: BTreeMap<usize, usize> =
        numbered.flat_map(|(lane, of)| of.nodes.iter().map(move |node| (*node, lane))).collect();
    let mut dependants: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut state =
        State { ready: vec![BTreeSet::new(); lanes.len()], waiting: BTreeMap::new(), running: 0 };
    for (&node, &lane) in &lane_of {
        let waits: BTreeSet<usize> =
            needs(node).into_iter().filter(|need| lane_of.contains_key(need)).collect();
        for &need in &waits {
            dependants.entry(need).or_default().push(node);
        }
        if waits.is_empty() {
            state.ready[lane].insert(node);
        } else {
            state.waiting.insert(node, waits);
        }
    }
    let graph = Graph {
        state: Mutex::new(state),
        changed: Condvar::new(),
        dependants,
        lanes: lane_of,
        run: &run,
    };
    let workers = lanes
        .iter()
        .enumerate()
        .flat_map(|(lane, of)| std::iter::repeat_n(lane, of.workers.max(1).min(of.nodes.len())));
    let workers: Vec<usize> = workers.collect();
    std::thread::scope(|scope| {
        // This thread is one of the workers: a graph of one node starts no thread at all.
        for &lane in workers.iter().skip(1) {
            let graph = &graph;
            scope.spawn(move || graph.work(lane));
        }
        if let Some(lane) = workers.first() {
            graph.work(*lane);
        }
    });
}

impl<R: Fn(usize) + Sync> Graph<'_, R> {
    fn work(&self, lane: usize) {
        let mut locked = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(node) = locked.ready[lane].pop_first() else {
                if locked.running == 0 && locked.ready.iter().all(BTreeSet::is_empty) {
                    self.changed.notify_all();
                    return;
                }
                locked = self.changed.wait(locked).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            locked.running += 1;
            drop(locked);
            let unwinding = Unwinding { state: &self.state, changed: &self.changed };
            (self.run)(node);
            std::mem::forget(unwinding);
            locked = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            locked.running -= 1;
            for &next in self.dependants.get(&node).into_iter().flatten() {
                self.has_ended(&mut locked, node, next);
            }
            self.changed.notify_all();
        }
    }

    /// `next` waits for `node` no more.
    fn has_ended(&self, state: &mut State, node: usize, next: usize) {
        let Some(waits) = state.waiting.get_mut(&next) else { return };
        waits.remove(&node);
        if waits.is_empty() {
            state.waiting.remove(&next);
            state.ready[self.lanes[&next]].insert(next);
        }
    }
}

/// Lets the other workers end when one panics, so that the panic is seen and nothing waits for it.
struct Unwinding<'a> {
    state: &'a Mutex<State>,
    changed: &'a Condvar,
}

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        state.ready.iter_mut().for_each(BTreeSet::clear);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// `edges` are pairs of a node and what it needs.
    fn check(nodes: &[usize], edges: &[(usize, usize)]) {
        for jobs in [1, 2, 8] {
            let order = Mutex::new(Vec::new());
            let lanes = [Lane { nodes, workers: jobs }];
            schedule(
                &lanes,
                |node| edges.iter().filter(|edge| edge.0 == node).map(|edge| edge.1).collect(),
                |node| order.lock().unwrap().push(node),
            );
            let order = order.into_inner().unwrap();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, nodes, "{jobs} jobs");
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
        check(&[0, 1, 2, 3], &[(3, 1), (3, 2), (1, 0), (2, 0)]);
        check(&[], &[]);
    }

    #[test]
    fn what_is_in_no_lane_is_done() {
        check(&[1, 2], &[(1, 0), (2, 1)]);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_passed_on_and_nothing_hangs() {
        let both = std::sync::Barrier::new(2);
        schedule(
            &[Lane { nodes: &[0, 1, 2], workers: 2 }],
            |node| if node == 2 { vec![1] } else { Vec::new() },
            |node| {
                // On two threads, of which one panics. The third node may still be begun by the other.
                if node < 2 {
                    both.wait();
                }
                assert!(std::thread::current().name().is_some(), "a worker has no name");
            },
        );
    }

    #[test]
    fn independent_nodes_run_side_by_side() {
        let running = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let met = std::sync::Barrier::new(2);
        schedule(
            &[Lane { nodes: &[0, 1], workers: 2 }],
            |_| Vec::new(),
            |_| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                met.wait();
                running.fetch_sub(1, Ordering::SeqCst);
            },
        );
        assert_eq!(most.into_inner(), 2);
    }

    #[test]
    fn lanes_do_not_wait_for_each_other_but_for_what_they_need() {
        let met = std::sync::Barrier::new(2);
        let order = Mutex::new(Vec::new());
        let lanes = [Lane { nodes: &[1, 3], workers: 1 }, Lane { nodes: &[0, 2, 4], workers: 1 }];
        schedule(
            &lanes,
            |node| match node {
                3 => vec![2],
                4 => vec![3],
                _ => Vec::new(),
            },
            |node| {
                // The first of both lanes, at the same time.
                if node < 2 {
                    met.wait();
                }
                order.lock().unwrap().push(node);
            },
        );
        let mut order = order.into_inner().unwrap();
        assert_eq!(order.len(), 5);
        order.retain(|node| *node > 1);
        assert_eq!(order, [2, 3, 4]);
    }
}
