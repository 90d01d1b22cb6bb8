#!/usr/bin/env bash
# scripts/with-citus.sh [COMMAND [ARGUMENT…]]
# Runs the command beside a cluster of Citus, a coordinator and two workers, whose superuser's URL it finds in TEST_DATABASE_URL:
# the one that TEST_CITUS_URL names, else a throw-away one of shared/citus, beside this checkout (or, of a further worktree,
# beside the first one). Of that one CITUS_DIR says where its nodes' data are. For root, since PostgreSQL itself must not be root.
set -euo pipefail
# Without a command it only tells whether there is one.
if [ -n "${TEST_CITUS_URL:-}" ] && [ $# = 0 ]; then exit; fi
if [ -n "${TEST_CITUS_URL:-}" ]; then TEST_DATABASE_URL=$TEST_CITUS_URL exec "$@"; fi

root=$(cd "$(dirname "$0")/.." && pwd)
first=$(git -C "$root" rev-parse --path-format=absolute --git-common-dir 2>/dev/null || true)
shared=$root/../shared/citus
[ -x "$shared/up" ] || shared=${first:-/none}/../../shared/citus
if [ ! -x "$shared/up" ]; then
  echo "No Citus: $(realpath -m "$root/../shared/citus/up") is not there, and TEST_CITUS_URL names no cluster." >&2
  exit 1
fi
[ $# -gt 0 ] || exit 0

dir=$(mktemp -d /tmp/headless-mfa-citus-XXXXXX)
chmod 755 "$dir" # its owner is not who runs the servers
trap '"$shared/down" "$dir/cluster" || true; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

port=$(node -e "
  const { createServer } = require('net')
  const free = port => new Promise(resolve => { const server = createServer().once('error', () => resolve(false)).listen(port, '127.0.0.1', () => server.close(() => resolve(true))) })
  ;(async () => {
    for (let port = 20000 + process.pid % 2000 * 5; ; port += 5) if (await free(port) && await free(port + 1) && await free(port + 2)) return console.log(port)
  })()")
url=$("$shared/up" "$dir/cluster" "$port" | tail -n 1)
for node in 0 1 2; do
  # All of it is on this machine; and what it holds is thrown away, so that nothing needs to reach the disk unless it is measured.
  settings=(-c "ALTER SYSTEM SET citus.node_conninfo = 'sslmode=disable'")
  [ -n "${CITUS_DURABLE:-}" ] || settings+=(-c 'ALTER SYSTEM SET fsync = off' -c 'ALTER SYSTEM SET synchronous_commit = off' -c 'ALTER SYSTEM SET full_page_writes = off')
  psql -qX -h 127.0.0.1 -p $((port + node)) -U postgres postgres "${settings[@]}" -c 'SELECT pg_reload_conf()' >/dev/null
done
CITUS_DIR=$dir/cluster TEST_DATABASE_URL=$url "$@"
