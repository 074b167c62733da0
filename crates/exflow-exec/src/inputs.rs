use exflow_content::Tree;
use exflow_plan::Command;
use exflow_store::{Store, StoreError};

/// The inputs of a command, laid over each other.
///
/// # Errors
/// Where one has a file at the place of another's folder.
pub(crate) fn merged(store: &Store, command: &Command) -> Result<Tree, StoreError> {
    let mut inputs = Tree::new();
    for mount in &command.mounts {
        let tree = store.tree(&mount.tree)?;
        inputs
            .merge(&mount.at, &tree)
            .map_err(|source| StoreError::Tree { path: mount.at.to_string().into(), source })?;
    }
    Ok(inputs)
}
