#!/usr/bin/env bash
# npm run image: carries out the Dockerfile's steps without an engine (image-build.mjs) and tries out what they make, as
# `docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges` would: in the image's own files
# alone (no shell among them), with its numeric user, node as process 1, and secrets as mounted files.
# For root. DATABASE_URL names a PostgreSQL whose owner it may be; without it there is a throw-away one.
set -uo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo 'Must be root: it makes files of root and becomes another user.' >&2; exit 1; }
[ -n "${DATABASE_URL:-}" ] || exec scripts/with-postgres.sh bash -c 'DATABASE_URL=$TEST_DATABASE_URL exec "$0"' "$0"

passed=0 failed=0
work=$(mktemp -d /tmp/headless-mfa-image-XXXXXX)
chmod 755 "$work"
root=$work/rootfs
name=image_$(date +%s)_$$ # of a database and a login of our own
server=
trap 'stop_server KILL; sql "DROP DATABASE IF EXISTS $name WITH (FORCE)" "DROP ROLE IF EXISTS $name"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# check NAME COMMAND…: one line, and what the command said if it failed.
check () {
  local title=$1; shift
  if "$@" >"$work/said" 2>&1; then
    passed=$((passed + 1)); echo "  ok      $title"
  else
    failed=$((failed + 1)); echo "  FAILED  $title"; tail -n 40 "$work/said"
  fi
}
finish () { echo "$passed passed, $failed failed"; [ "$failed" = 0 ]; exit; }

image () { node -e 'const image = JSON.parse(require("fs").readFileSync(process.argv[1])); console.log([].concat(eval(`image.${process.argv[2]}`)).join("\n"))' "$work/image.json" "$1"; }
sql () { local s; for s in "$@"; do psql -qAt -v ON_ERROR_STOP=1 -c "$s" "$DATABASE_URL"; done; }
free_port () { node -e 'const server = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(server.address().port); server.close() })'; }

# container [VARIABLE=value…] -- PROGRAM [ARGUMENT…]: runs it as the image would be run; ROOTFS=rw leaves out --read-only.
container () {
  local environment=() settings; mapfile -t settings < <(image 'Env && Object.entries(image.Env).map(e => e.join("="))')
  while [ "$1" != -- ]; do environment+=("$1"); shift; done; shift
  exec unshare --mount --pid --fork --kill-child -- bash -c '
    root=$1 mode=$2 workdir=$3 uid=$4 gid=$5; shift 5
    mount --bind "$root" "$root" && mount -o "remount,bind,$mode,nosuid" "$root" &&
    mount -t tmpfs -o mode=1777,nosuid,noexec tmpfs "$root/tmp" && mount -t proc proc "$root/proc" && mount --bind /dev/null "$root/dev/null" &&
    exec setpriv --no-new-privs unshare --root="$root" --wd="$workdir" --setgid="$gid" --setuid="$uid" -- "$@"
  ' - "$root" "${ROOTFS:-ro}" "$(image WorkingDir)" ${user/:/ } \
    "/nodejs/bin/node" -e 'const [command, ...args] = process.argv.slice(2); process.execve(command, [command, ...args], Object.fromEntries(JSON.parse(process.argv[1])))' \
    "$(node -p 'JSON.stringify(process.argv.slice(1).map(pair => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]))' -- "${settings[@]}" "${environment[@]}")" "$@"
}
