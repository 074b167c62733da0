//! The engine: components compiled, kept in their compiled form, and called under limits.

use crate::PluginError;
use crate::contract_0_2::described::{Described, DescribedPre, SettingSchema};
use crate::contract_0_2::{Answer, Request};
use crate::{contract_0_1, contract_0_2};
use exflow_content::{Digest, Encoder};
use exflow_store::{Record, Store};
use std::hash::{Hash, Hasher};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, ResourceLimiter, StoreLimits, StoreLimitsBuilder, Trap};

/// The version of how compiled components are kept.
const COMPILED: &str = "exflow compiled plugin 1";
/// What a component exports as its planner, before the version of the contract that it is for.
const PLANNER: &str = "exflow:plugin/planner@";
/// The same, of the settings that it declares.
const SETTINGS: &str = "exflow:plugin/settings@";
/// The stack of a plugin, in bytes.
const STACK: usize = 1 << 20;
/// The longest table of references, in elements.
const TABLE: usize = 1 << 20;
/// What may be copied out of a plugin in one call, in bytes.
const ANSWER: usize = 16 << 20;

/// What a plugin may use in one call. The same everywhere, so that answers agree everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: usize,
    /// Instructions, as wasmtime counts them.
    pub fuel: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 256 << 20, fuel: 5_000_000_000 }
    }
}

/// A component that is ready to be called.
#[derive(Clone)]
pub(crate) struct Linked {
    planner: Planner,
    /// None where it declares no settings.
    settings: Option<DescribedPre<Quota>>,
    /// The version of the contract that it is for.
    pub(crate) contract: String,
}

/// By the version of the contract that it is for.
#[derive(Clone)]
enum Planner {
    V0_1(contract_0_1::ReleaseToolPre<Quota>),
    V0_2(contract_0_2::ReleaseToolPre<Quota>),
}

/// Compiles and calls components. It is made when the first plugin has to be called.
pub(crate) struct Runtime {
    engine: Engine,
}

impl Runtime {
    pub(crate) fn new() -> Result<Self, PluginError> {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            // The same answer on every machine.
            .cranelift_nan_canonicalization(true)
            .wasm_relaxed_simd(false)
            .wasm_memory64(false)
            .consume_fuel(true)
            .max_wasm_stack(STACK);
        let engine = Engine::new(&config)
            .map_err(|error| PluginError::Trap { reason: format!("no engine: {error:#}") })?;
        Ok(Self { engine })
    }

    /// The component whose bytes `load` gives, from its compiled form in the store if it is there.
    pub(crate) fn component(
        &self,
        store: &Store,
        digest: &Digest,
        load: impl FnOnce() -> Result<Vec<u8>, PluginError>,
    ) -> Result<Linked, PluginError> {
        let key = compiled_key(digest, &self.compatibility());
        if let Some(record) = store.record(&key)? {
            #[expect(unsafe_code, reason = "machine code has no other way to be loaded")]
            // SAFETY: the bytes were written by this function: the record is sealed with its key,
            // which names the engine, the CPU and the component, and is in the user's own store.
            let loaded = unsafe { Component::deserialize(&self.engine, &record.data) };
            if let Ok(component) = loaded {
                return self.link(&component);
            }
            store.forget(&key);
        }
        let bytes = load()?;
        let component = Component::new(&self.engine, &bytes)
            .map_err(|error| PluginError::NotAComponent { reason: format!("{error:#}") })?;
        let linked = self.link(&component)?;
        if let Ok(data) = component.serialize() {
            store.put_record(&key, &Record { trees: Vec::new(), data })?;
        }
        Ok(linked)
    }

    /// The blake3 digest of what wasmtime says makes a compiled form usable or not: its version, its
    /// settings, the CPU.
    fn compatibility(&self) -> [u8; 32] {
        let mut hasher = Blake3(blake3::Hasher::new());
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        *hasher.0.finalize().as_bytes()
    }

    fn link(&self, component: &Component) -> Result<Linked, PluginError> {
        let types = component.component_type();
        let imports: Vec<String> =
            types.imports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        if !imports.is_empty() {
            return Err(PluginError::Imports { imports });
        }
        let contract =
            |error: wasmtime::Error| PluginError::Contract { reason: format!("{error:#}") };
        let linker: Linker<Quota> = Linker::new(&self.engine);
        let pre = linker.instantiate_pre(component).map_err(contract)?;
        let version_of = |interface: &str| {
            let mut exports = types.exports(&self.engine);
            exports.find_map(|(name, _)| name.strip_prefix(interface).map(str::to_owned))
        };
        let version = version_of(PLANNER).unwrap_or_default();
        let settings = version_of(SETTINGS).map(|_| DescribedPre::new(pre.clone())).transpose();
        let planner = if version.starts_with("0.1.") {
            contract_0_1::ReleaseToolPre::new(pre).map(Planner::V0_1)
        } else {
            contract_0_2::ReleaseToolPre::new(pre).map(Planner::V0_2)
        };
        Ok(Linked {
            planner: planner.map_err(contract)?,
            settings: settings.map_err(contract)?,
            contract: version,
        })
    }

    /// What a component declares of its settings; none where it doesn't.
    pub(crate) fn describe(
        &self,
        component: &Linked,
        limits: &Limits,
    ) -> Result<Option<Vec<SettingSchema>>, PluginError> {
        let Some(settings) = &component.settings else { return Ok(None) };
        let failed = |error: wasmtime::Error| failure(&error, limits);
        let mut store = self.instance(limits).map_err(failed)?;
        let plugin: Described = settings.instantiate(&mut store).map_err(failed)?;
        plugin.exflow_plugin_settings().call_describe(&mut store).map(Some).map_err(failed)
    }

    /// Everything that is of one call only, with its limits.
    fn instance(&self, limits: &Limits) -> Result<wasmtime::Store<Quota>, wasmtime::Error> {
        let allowed = StoreLimitsBuilder::new()
            .memory_size(limits.memory)
            .table_elements(TABLE)
            .instances(64)
            // An interpreter has its own, and so has what stands in for what it would import.
            .memories(16)
            .tables(64)
            .trap_on_grow_failure(true)
            .build();
        let quota = Quota { each: allowed, memory: limits.memory };
        let mut store = wasmtime::Store::new(&self.engine, quota);
        store.limiter(|quota| quota);
        store.set_fuel(limits.fuel)?;
        store.set_hostcall_fuel(ANSWER);
        Ok(store)
    }

    /// One call, in a fresh instance.
    pub(crate) fn call(
        &self,
        component: &Linked,
        request: &Request,
        limits: &Limits,
    ) -> Result<Answer, PluginError> {
        let failed = |error: wasmtime::Error| failure(&error, limits);
        let mut store = self.instance(limits).map_err(failed)?;
        match &component.planner {
            Planner::V0_1(component) => {
                let tool: contract_0_1::ReleaseTool =
                    component.instantiate(&mut store).map_err(failed)?;
                let request = contract_0_1::request(request);
                let answer = tool.exflow_plugin_planner().call_propose(&mut store, &request);
                answer.map(contract_0_1::answer).map_err(failed)
            }
            Planner::V0_2(component) => {
                let tool: contract_0_2::ReleaseTool =
                    component.instantiate(&mut store).map_err(failed)?;
                tool.exflow_plugin_planner().call_propose(&mut store, request).map_err(failed)
            }
        }
    }
}

/// What one call may still use.
pub(crate) struct Quota {
    /// Of each memory and each table, and how many there may be.
    each: StoreLimits,
    /// Of all memories together, in bytes: what is left.
    memory: usize,
}

impl ResourceLimiter for Quota {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        // More than is left of all is more than any may have.
        let asked = if more > self.memory { usize::MAX } else { desired };
        let is_allowed = self.each.memory_growing(current, asked, maximum)?;
        self.memory -= more;
        Ok(is_allowed)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.each.memory_grow_failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.each.table_growing(current, desired, maximum)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.each.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.each.instances()
    }

    fn tables(&self) -> usize {
        self.each.tables()
    }

    fn memories(&self) -> usize {
        self.each.memories()
    }
}

/// The key of a compiled form: everything that makes it usable or not.
///
/// # Encoding
/// Tag `exflow compiled plugin 1`; digest of the component; the digest of what makes compiled forms
/// compatible, as a byte string.
fn compiled_key(digest: &Digest, compatibility: &[u8; 32]) -> Digest {
    let mut encoder = Encoder::new(COMPILED);
    encoder.digest(digest).bytes(compatibility);
    encoder.digest_of()
}

fn failure(error: &wasmtime::Error, limits: &Limits) -> PluginError {
    let text = format!("{error:#}");
    let limit = |limit: String| PluginError::Limit { limit };
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return limit(format!("{} instructions", limits.fuel)),
        Some(Trap::StackOverflow) => return limit(format!("{STACK} bytes of stack")),
        _ => {}
    }
    if text.contains("forcing trap when growing memory") {
        return limit(format!("{} bytes of memory", limits.memory));
    }
    if text.contains("forcing trap when growing table") {
        return limit(format!("{TABLE} elements of a table"));
    }
    // It says of what there are too many.
    if text.contains("resource limit exceeded") {
        return limit(format!("parts: {}", error.root_cause()));
    }
    if text.contains("fuel allocated for hostcalls") {
        return limit(format!("{ANSWER} bytes in one answer"));
    }
    // The backtrace is of use to the plugin's author only; its last line names the cause.
    let reason = error.root_cause().to_string();
    PluginError::Trap { reason }
}

/// Feeds `std::hash::Hash` to blake3: the standard hasher is not stable over versions.
struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.finalize();
        u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys name what is in users' stores. If this fails, the encoding has changed: give it a new
    /// version in `COMPILED`, and say so in the changelog.
    #[test]
    fn the_key_of_a_compiled_form_is_pinned() {
        let key = compiled_key(&Digest::of(b"component"), &[7; 32]);
        assert_eq!(
            key.to_string(),
            "71275500da2526f0f0b1049665af41b54764dd9df1bcc72019e07a0bd9d0d779"
        );
        assert_ne!(compiled_key(&Digest::of(b"component"), &[8; 32]), key);
        assert_ne!(compiled_key(&Digest::of(b"other"), &[7; 32]), key);
    }

    #[test]
    fn memory_is_limited_over_all_memories() {
        let each = StoreLimitsBuilder::new().memory_size(100).trap_on_grow_failure(true).build();
        let mut quota = Quota { each, memory: 100 };
        assert!(quota.memory_growing(0, 60, None).unwrap());
        assert!(quota.memory_growing(0, 30, None).unwrap());
        assert!(quota.memory_growing(30, 40, None).unwrap());
        quota.memory_growing(60, 61, None).unwrap_err();
    }
}
