use exflow_content::Tree;
use exflow_plan::Command;
use exflow_store::{Store, StoreError};

/// The inputs of a command, in their order.
pub(crate) fn trees(store: &Store, command: &Command) -> Result<Vec<Tree>, StoreError> {
    command.mounts.iter().map(|mount| store.tree(&mount.tree)).collect()
}

/// The inputs of a command, laid over each other.
///
/// # Errors
/// Where one has a file at the place of another's folder.
pub(crate) fn merged(command: &Command, trees: &[Tree]) -> Result<Tree, StoreError> {
    let mut inputs = Tree::new();
    for (mount, tree) in command.mounts.iter().zip(trees) {
        inputs
            .merge(&mount.at, tree)
            .map_err(|source| StoreError::Tree { path: mount.at.to_string().into(), source })?;
    }
    Ok(inputs)
}
