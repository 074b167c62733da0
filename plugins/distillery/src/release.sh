# Makes the release of the project in this folder in `$release`. What it is given says which.
if [ ! -e "$MIX_BUILD_PATH/lib/distillery/ebin/Elixir.Mix.Tasks.Distillery.Release.beam" ]; then
    echo "** This Distillery has no task distillery.release: exflow builds with Distillery 2.1 and newer." >&2
    exit 1
fi
begun=$(mktemp)
mix distillery.release --no-tar "$@"
# It goes where rel/config.exs says, and by default below the build.
found=$(find "$MIX_BUILD_PATH/rel" "$PWD" -name _exflow -prune -o \
    -path '*/releases/start_erl.data' -newer "$begun" -print 2>/dev/null || true)
if [ "$(printf '%s' "$found" | grep -c '^')" != 1 ]; then
    echo "** Expected that Distillery makes one release below the project's folder. It has made:" >&2
    printf '%s\n' "${found:-none}" >&2
    exit 1
fi
made=${found%/releases/start_erl.data}
# On OTP 25 and newer, this file lands in Erlang's own folder.
if [ ! -e "$made/releases/RELEASES" ]; then
    erlang=$(elixir -e 'IO.write(:code.root_dir())')/releases/RELEASES
    [ ! "$erlang" -nt "$begun" ] || cp "$erlang" "$made/releases/RELEASES"
fi
rmdir "$release"
mv "$made" "$release"
# What is for Windows, for those that write C, and for upgrades in place.
rm -rf "$release"/bin/*.bat "$release"/releases/*/*.ps1 "$release"/releases/*/libexec/win \
    "$release"/releases/*/libexec/commands/win "$release"/releases/*/*.tar.gz "$release"/releases/*.tar.gz \
    "$release"/erts-*/include "$release"/erts-*/man "$release"/erts-*/src "$release"/erts-*/doc
find "$release" -path '*/erts-*/lib/*' -name '*.a' -delete
# It starts with what all of its scripts need, and so can be checked: by itself, it looks for that when it starts.
for script in "$release"/bin/*; do
    if grep -qs 'command -v bash' "$script"; then sed -i '1s|^#!/bin/sh$|#!/usr/bin/env bash|' "$script"; fi
done
# Only those say when they were made.
find "$release/releases" "$release/bin" \( -name '*.script' -o -name '*.rel' \) -exec sed -i '/^%% .* generated at /d' {} +
rm "$begun"
