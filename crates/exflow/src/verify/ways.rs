//! In which ways everything is done anew.

use super::other_user;
use crate::cli::ExecutorChoice;
use crate::executors::{choice, has_docker};
use crate::report::Failure;

/// How everything is done anew.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(super) executor: ExecutorChoice,
    pub(super) as_other: bool,
    /// Whether each step is done by itself, also where a build does several together.
    pub(crate) one_by_one: bool,
    /// Whether it may be left out where it can't be had here.
    pub(super) is_optional: bool,
}

impl Way {
    /// How what comes from outside is fetched: no step runs.
    pub(super) const FETCH: Self = Self {
        executor: ExecutorChoice::Auto,
        as_other: false,
        one_by_one: true,
        is_optional: false,
    };

    pub(super) fn name(self) -> String {
        let executor = match self.executor {
            ExecutorChoice::Docker => "in Docker",
            ExecutorChoice::Sandbox | ExecutorChoice::Auto => "in the sandbox",
        };
        if self.as_other { format!("{executor} as another user") } else { executor.to_owned() }
    }
}

/// In which ways it is done: in both executors, unless one is asked for by name.
pub(crate) fn ways(argument: Option<ExecutorChoice>) -> Result<Vec<Way>, Failure> {
    let chosen = choice(argument, None)?;
    let docker = match chosen {
        ExecutorChoice::Sandbox => false,
        ExecutorChoice::Docker => true,
        ExecutorChoice::Auto => has_docker(),
    };
    let mut ways = Vec::new();
    if chosen != ExecutorChoice::Docker {
        ways.push(Way {
            executor: ExecutorChoice::Sandbox,
            as_other: other_user::is_possible(),
            one_by_one: true,
            is_optional: docker,
        });
    }
    if docker {
        let executor = ExecutorChoice::Docker;
        // Of two ways, the other one does them as a build does.
        let one_by_one = ways.is_empty();
        ways.push(Way { executor, as_other: false, one_by_one, is_optional: false });
    }
    Ok(ways)
}
