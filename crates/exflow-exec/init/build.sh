#!/usr/bin/env bash
# Builds exflow's init process for the containers of every platform into `prebuilt/`, or with
# `--check` proves that what is there is what the sources give. It is linked without anything of this
# machine's, by the linker that comes with Rust, so that everyone gets the same bytes.
set -euo pipefail
cd "$(dirname "$0")"
sysroot=$(rustc --print sysroot)
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
target=$(cd ../../.. && pwd)/target/init
build() {
    local triple=$1 to=$2
    env -u RUSTFLAGS CARGO_ENCODED_RUSTFLAGS="$(printf '%s\x1f%s\x1f%s\x1f%s' \
        "-Clinker=rust-lld" "--remap-path-prefix=$PWD=init" \
        "--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit" \
        "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo")" \
        cargo build --quiet --locked --release --target "$triple" --target-dir "$target"
    cp "$target/$triple/release/exflow-init" "$to"
}
out=prebuilt
if [ "${1-}" = --check ]; then out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; fi
mkdir -p "$out"
build x86_64-unknown-linux-musl "$out/exflow-init-amd64"
build aarch64-unknown-linux-musl "$out/exflow-init-arm64"
if [ "${1-}" = --check ]; then
    for file in exflow-init-amd64 exflow-init-arm64; do
        cmp "$out/$file" "prebuilt/$file" || {
            echo "prebuilt/$file is not what the sources give: run crates/exflow-exec/init/build.sh" >&2
            exit 1
        }
    done
fi
