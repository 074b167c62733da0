//! Makes a component of a plain module, for languages whose linkers make no components.

use crate::PluginError;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The newest version of the contract.
pub const NEWEST: &str = "0.2.1";
/// The newest contract, as WIT.
pub const NEWEST_WIT: &str = include_str!("../../../schemas/wit/0.2.1/plugin.wit");
const WORLD: &str = "release-tool";

/// The component of a module that has the exports of the newest contract, named and laid out as the component
/// model says, and imports nothing.
///
/// # Errors
/// Where the module isn't one of the contract: what it lacks, or what is too much.
pub fn component_of(module: &[u8]) -> Result<Vec<u8>, PluginError> {
    let mut resolve = Resolve::default();
    let world = resolve
        .push_str("plugin.wit", NEWEST_WIT)
        .and_then(|package| resolve.select_world(&[package], Some(WORLD)))
        .expect("the contract is one");
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .and_then(|()| ComponentEncoder::default().validate(true).module(&module)?.encode())
        .map_err(|error| PluginError::Contract { reason: format!("{error:#}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_what_is_named() {
        assert!(NEWEST_WIT.contains(&format!("package exflow:plugin@{NEWEST};")));
    }

    #[test]
    fn a_module_that_is_not_of_the_contract() {
        let module = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
        let error = component_of(&module).unwrap_err().to_string();
        assert!(error.contains("exflow:plugin/planner@0.2.1"), "{error}");
        component_of(b"nonsense").unwrap_err();
    }
}
