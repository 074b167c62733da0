# The start script's name is the release's: here under a name that is always the same. Beside it in
# bin there may be scripts of an overlay; NAME.rel stands alone.
for rel in "$release"/releases/*/*.rel; do
    name=${rel##*/}
    name=${name%.rel}
done
# It begins as that one does, which says what both need.
printf '%s\nexec "$(dirname "$0")/%s" "$@"\n' "$(head -n 1 "$release/bin/$name")" "$name" > "$release/bin/exflow-start"
chmod 755 "$release/bin/exflow-start"
