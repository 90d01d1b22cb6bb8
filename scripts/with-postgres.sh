#!/usr/bin/env bash
# scripts/with-postgres.sh COMMAND [ARGUMENT…]
# Runs the command beside a throw-away PostgreSQL 15 of Debian, whose superuser's URL it finds in TEST_DATABASE_URL.
# For root, since PostgreSQL itself must not be root.
set -euo pipefail
bin=/usr/lib/postgresql/15/bin

if [ ! -x $bin/postgres ]; then
  # Without this the package starts a server of its own, which nothing would stop.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-15; } >&2
fi

as_postgres() { (cd "$dir" && setpriv --reuid=postgres --regid=postgres --init-groups "$@"); }

dir=$(mktemp -d /tmp/headless-mfa-postgres-15-XXXXXX)
trap 'as_postgres $bin/pg_ctl stop -D "$dir/data" -m immediate -s || true; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
chown postgres "$dir"

port=$(node -e "const server = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(server.address().port); server.close() })")
password=$(node -p "require('crypto').randomBytes(24).toString('hex')")
(umask 077 && echo "$password" > "$dir/password" && chown postgres "$dir/password")
as_postgres $bin/initdb -D "$dir/data" -U postgres -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C.UTF-8 -N >/dev/null
# What it holds is thrown away, so nothing needs to reach the disk.
as_postgres $bin/pg_ctl start -D "$dir/data" -l "$dir/log" -w -s -o "-p $port -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= -c max_connections=300 -c fsync=off -c synchronous_commit=off -c full_page_writes=off"

TEST_DATABASE_URL="postgresql://postgres:$password@127.0.0.1:$port/postgres" "$@"
