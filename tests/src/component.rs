//! Plugins that are only there to misbehave.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A plugin for the contract 0.1.0 that imports nothing, and whose one function has this body, in
/// WebAssembly's text format: it is to leave the address of an answer.
pub fn component(body: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let contract = include_str!("../../schemas/wit/0.1.0/plugin.wit");
    let package = resolve.push_str("plugin.wit", contract).unwrap();
    let world = resolve.select_world(&[package], Some("release-tool")).unwrap();
    let text = format!(
        "(module
            (memory (export \"memory\") 16)
            (global $end (mut i32) (i32.const 65536))
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
                (global.set $end (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export \"exflow:plugin/planner@0.1.0#propose\")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                {body}))"
    );
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
