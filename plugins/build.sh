#!/bin/sh
# Builds the plugins that ship inside exflow, and puts them into plugins/prebuilt, from where they
# are embedded. Their digests are part of users' locks, so they may not depend on who builds them:
# every path of this machine is mapped to a fixed one. With --check, compares instead.
set -eu
cd "$(dirname "$0")"
sysroot=$(rustc --print sysroot)
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
root=$(cd .. && pwd)
export RUSTFLAGS="--remap-path-prefix=$root=/exflow \
--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo \
--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit"
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET
cargo build --quiet --release --locked --target wasm32-unknown-unknown
for plugin in distillery mix-release; do
    built=target/wasm32-unknown-unknown/release/$(echo "$plugin" | tr - _).wasm
    if [ "${1:-}" = --check ]; then
        cmp "$built" "prebuilt/$plugin.wasm" || {
            echo "plugins/prebuilt/$plugin.wasm is not what its sources give: run plugins/build.sh" >&2
            exit 1
        }
    else
        cp "$built" "prebuilt/$plugin.wasm"
    fi
done
