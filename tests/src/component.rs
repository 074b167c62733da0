//! Plugins that are only there to misbehave.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// 0.1.0.
    V0_1_0,
    /// 0.2.0.
    V0_2_0,
}

impl Contract {
    /// All that were published.
    pub const ALL: [Self; 2] = [Self::V0_1_0, Self::V0_2_0];

    const fn version(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
        }
    }

    const fn wit(self) -> &'static str {
        match self {
            Self::V0_1_0 => include_str!("../../schemas/wit/0.1.0/plugin.wit"),
            Self::V0_2_0 => include_str!("../../schemas/wit/0.2.0/plugin.wit"),
        }
    }

    /// What `propose` is given: the address and the length of each of a request's fields.
    const fn parameters(self) -> usize {
        match self {
            Self::V0_1_0 => 12,
            Self::V0_2_0 => 14,
        }
    }
}

/// A plugin for this contract that imports nothing, and whose one function has this body, in
/// WebAssembly's text format: it is to leave the address of an answer.
pub fn component(contract: Contract, body: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", contract.wit()).unwrap();
    let world = resolve.select_world(&[package], Some("release-tool")).unwrap();
    let (version, parameters) = (contract.version(), "i32 ".repeat(contract.parameters()));
    let text = format!(
        "(module
            (memory (export \"memory\") 16)
            (global $end (mut i32) (i32.const 65536))
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
                (global.set $end (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export \"exflow:plugin/planner@{version}#propose\")
                (param {parameters}) (result i32)
                {body}))"
    );
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
