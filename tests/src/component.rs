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
    /// 0.2.1.
    V0_2_1,
}

impl Contract {
    /// All that were published.
    pub const ALL: [Self; 3] = [Self::V0_1_0, Self::V0_2_0, Self::V0_2_1];

    const fn version(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        }
    }

    const fn wit(self) -> &'static str {
        match self {
            Self::V0_1_0 => include_str!("../../schemas/wit/0.1.0/plugin.wit"),
            Self::V0_2_0 => include_str!("../../schemas/wit/0.2.0/plugin.wit"),
            Self::V0_2_1 => include_str!("../../schemas/wit/0.2.1/plugin.wit"),
        }
    }

    /// How much `propose` is given: the address and the length of each of a request's fields.
    #[must_use]
    pub const fn parameters(self) -> usize {
        match self {
            Self::V0_1_0 => 12,
            Self::V0_2_0 | Self::V0_2_1 => 14,
        }
    }
}

/// A plugin for this contract that imports nothing, and whose `propose` has this body, in WebAssembly's text
/// format: it is to leave the address of an answer. It has no settings.
pub fn component(contract: Contract, propose: &str) -> Vec<u8> {
    encode(contract, propose, "i32.const 2048")
}

/// A plugin for the newest contract that fails when it is asked, and whose `describe` has this body: it is to
/// leave the address of a list.
pub fn declaring(describe: &str) -> Vec<u8> {
    encode(Contract::V0_2_1, "unreachable", describe)
}

fn encode(contract: Contract, propose: &str, describe: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", contract.wit()).unwrap();
    let world = resolve.select_world(&[package], Some("release-tool")).unwrap();
    let (version, parameters) = (contract.version(), "i32 ".repeat(contract.parameters()));
    let settings = match contract {
        Contract::V0_1_0 | Contract::V0_2_0 => String::new(),
        Contract::V0_2_1 => format!(
            "(func (export \"exflow:plugin/settings@{version}#describe\") (result i32) {describe})"
        ),
    };
    let text = format!(
        "(module
            (memory (export \"memory\") 16)
            (table 1 funcref)
            (global $end (mut i32) (i32.const 65536))
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
                (global.set $end (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export \"exflow:plugin/planner@{version}#propose\")
                (param {parameters}) (result i32)
                {propose})
            {settings})"
    );
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
