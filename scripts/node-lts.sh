#!/usr/bin/env bash
# Prints a folder that holds the `node` of the LTS line that the image runs; the npm registry carries it, so a machine that
# can install our packages can have it. Kept for the next call.
set -euo pipefail
version=24.21.0

dir=${XDG_CACHE_HOME:-$HOME/.cache}/headless-mfa/node-$version
if [ ! -x "$dir/bin/node" ]; then
  mkdir -p "$(dirname "$dir")"
  fresh=$(mktemp -d "$dir.XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  # From another folder, as npm would read the package.json of this one.
  (cd "$fresh" && npm pack --silent "node-linux-$(node -p process.arch)@$version" >/dev/null)
  tar -xzf "$fresh"/*.tgz -C "$fresh" --strip-components=1
  rm -f "$fresh"/*.tgz
  # Two at once: the first one to move it into place wins, and they are the same.
  mv -T "$fresh" "$dir" 2>/dev/null || [ -x "$dir/bin/node" ]
fi
echo "$dir/bin"
