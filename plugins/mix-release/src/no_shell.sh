# For an image without a shell, what the start script does is said in the image. It needs paths that are always the
# same, and nothing of what only scripts run.
erts=$(cut -d ' ' -f 1 "$release/releases/start_erl.data")
if [ ! -d "$release/erts-$erts" ]; then
    echo "** An image without a shell needs a release that brings its own Erlang: leave include_erts at true." >&2
    exit 1
fi
ln -s "erts-$erts" "$release/erts"
ln -s "$version" "$release/releases/current"
rm -rf "$release/bin"
rm -f "$release/releases/$version/elixir" "$release/releases/$version/iex" "$release/releases/$version/env.sh" \
    "$release/releases/$version/remote.vm.args"
for program in "$release/erts-$erts/bin"/*; do
    case ${program##*/} in
    beam.smp | erl_child_setup | erlexec | inet_gethost) ;;
    *) rm -rf "$program" ;;
    esac
done
