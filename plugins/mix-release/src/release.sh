# Makes the release of the project in this folder. $1 is the release's name, or empty where Mix
# decides; $2 is the folder that the release goes to, relative to this one.
set -eu
umask 022
release=$PWD/$2
rm -rf "$release"
mkdir -p "$release/releases"
# Mix writes a random cookie unless there is one already. A cookie in an image is no secret, and a
# random one would make every image differ.
printf 'set by exflow' > "$release/releases/COOKIE"
# shellcheck disable=SC2086 # an empty name is no argument
mix release ${1:+"$1"} --path "$release" --quiet
# An archive that a `:tar` step made, scripts for Windows, and the tool's own places.
rm -f "$release"/*.tar.gz "$release"/bin/*.bat "$release"/releases/*/env.bat
version=$(cut -d ' ' -f 2 "$release/releases/start_erl.data")
if [ "$(cat "$release/releases/COOKIE")" = 'set by exflow' ]; then
    # None was asked for in mix.exs: each start makes one, unless RELEASE_COOKIE is set. Commands
    # such as `remote` find it in RELEASE_TMP.
    rm "$release/releases/COOKIE"
    script=$release/releases/$version/env.sh
    mv "$script" "$script.own"
    cat > "$script" <<'SCRIPT'
if [ -z "${RELEASE_COOKIE:-}" ]; then
  exflow_cookie="${RELEASE_TMP:-$RELEASE_ROOT/tmp}/.exflow-cookie-$(id -u)"
  if [ -f "$exflow_cookie" ] && [ -O "$exflow_cookie" ]; then
    RELEASE_COOKIE="$(cat "$exflow_cookie")"
  else
    RELEASE_COOKIE="$(od -An -N 24 -t x1 /dev/urandom | tr -d ' \n')"
    (umask 077; set -C; printf '%s' "$RELEASE_COOKIE" > "$exflow_cookie") 2>/dev/null || true
  fi
  export RELEASE_COOKIE
fi
SCRIPT
    cat "$script.own" >> "$script"
    rm "$script.own"
fi
# The start script's name is the release's: here under a name that is always the same.
if [ -z "$1" ]; then
    for script in "$release"/bin/*; do
        name=${script##*/}
    done
    printf '#!/bin/sh\nexec "$(dirname "$0")/%s" "$@"\n' "$name" > "$release/bin/exflow-start"
    chmod 755 "$release/bin/exflow-start"
fi
