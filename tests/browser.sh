#!/usr/bin/env bash
# browser.sh PAGE PNG: opens a report in headless Chromium, as a reader would, and takes a picture of it. Fails if the page
# complains on the console, asks the network for anything, or shows nothing.
set -euo pipefail
page=$(realpath "$1")
png=$(realpath -m "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
  --disable-component-update --disable-sync --host-resolver-rules="MAP * ~NOTFOUND" --user-data-dir="$folder/profile" \
  --enable-logging=stderr --log-net-log="$folder/network.json" --window-size=1280,6000 --screenshot="$png" "file://$page" 2> "$folder/log"

if grep -i ':CONSOLE' "$folder/log"; then echo "$page: the lines above stand on the console" >&2; exit 1; fi
# The browser has errands of its own, which lead nowhere here; those of a page are kept apart by its address.
if grep '"network_isolation_key":"file:' "$folder/network.json" | grep -oE '"url":"(https?|wss?)://[^"]*"'; then
  echo "$page asks for the above" >&2
  exit 1
fi
test -s "$png" || { echo "$page: there is no picture of it" >&2; exit 1; }
