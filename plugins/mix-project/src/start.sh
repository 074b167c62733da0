# The start script's name is the release's: here under a name that is always the same. Beside it in
# bin there may be scripts of an overlay; NAME.rel stands alone.
for rel in "$release"/releases/*/*.rel; do
    name=${rel##*/}
    name=${name%.rel}
done
printf '#!/bin/sh\nexec "$(dirname "$0")/%s" "$@"\n' "$name" > "$release/bin/exflow-start"
chmod 755 "$release/bin/exflow-start"
