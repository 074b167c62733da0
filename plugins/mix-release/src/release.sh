# Makes the release of the project in this folder in `$release`. $1 is its name, or empty where Mix decides.
mkdir "$release/releases"
# Mix writes a random cookie unless there is one already. A cookie in an image is no secret, and a
# random one would make every image differ. One that mix.exs asks for takes its place: `--overwrite`
# says so, and the answer `y` to those versions of Mix that ask all the same.
printf 'set by exflow' > "$release/releases/COOKIE"
# shellcheck disable=SC2086 # an empty name is no argument
printf 'y\n' | mix release ${1:+"$1"} --path "$release" --overwrite --quiet
# An archive that a `:tar` step made, scripts for Windows, and the tool's own places.
rm -f "$release"/*.tar.gz "$release"/bin/*.bat "$release"/releases/*/env.bat
version=$(cut -d ' ' -f 2 "$release/releases/start_erl.data")
if [ "$(cat "$release/releases/COOKIE")" = 'set by exflow' ]; then
    # None was asked for in mix.exs: each start makes one, unless RELEASE_COOKIE is set, by the
    # environment or by the project's own env.sh. Commands such as `remote` find it in RELEASE_TMP.
    rm "$release/releases/COOKIE"
    cat >> "$release/releases/$version/env.sh" <<'SCRIPT'

if [ -z "${RELEASE_COOKIE:-}" ]; then
  exflow_cookie="${RELEASE_TMP:-$RELEASE_ROOT/tmp}/.exflow-cookie-$(id -u)"
  if [ -s "$exflow_cookie" ] && [ -O "$exflow_cookie" ]; then
    RELEASE_COOKIE="$(cat "$exflow_cookie")"
  else
    RELEASE_COOKIE="$(od -An -N 24 -t x1 /dev/urandom | tr -d ' \n')"
    (umask 077; set -C; printf '%s' "$RELEASE_COOKIE" > "$exflow_cookie") 2>/dev/null || true
  fi
  export RELEASE_COOKIE
fi
SCRIPT
fi
