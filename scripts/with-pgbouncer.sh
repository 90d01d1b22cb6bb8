#!/usr/bin/env bash
# scripts/with-pgbouncer.sh COMMAND [ARGUMENT…]
# Runs the command beside Debian's PgBouncer in transaction mode before the server of TEST_DATABASE_URL: the tests' services find
# it in TEST_POOLER, its host and port. It refuses each parameter that it does not know, as poolers of others do.
set -euo pipefail
url=${TEST_DATABASE_URL:?a server: run this inside scripts/with-postgres.sh}
field() { node -p 'const url = new URL(process.argv[1]); decodeURIComponent(url[process.argv[2]])' "$url" "$1"; }

dir=$(mktemp -d /tmp/headless-mfa-pgbouncer-XXXXXX)
trap 'kill $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
port=$(node -e "const server = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(server.address().port); server.close() })")
cat > "$dir/pgbouncer.ini" <<INI
[databases]
* = host=$(field hostname) port=$(field port) connect_query='SET statement_timeout = 1500; SET lock_timeout = 1000; SET idle_in_transaction_session_timeout = 3000'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $dir/users
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
INI
(umask 077 && echo "\"$(field username)\" \"$(field password)\"" > "$dir/users")
chown -R postgres "$dir"
setpriv --reuid=postgres --regid=postgres --init-groups /usr/sbin/pgbouncer -q "$dir/pgbouncer.ini" 2>"$dir/log" &
pid=$!
for _ in $(seq 100); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  kill -0 $pid 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done
TEST_POOLER=127.0.0.1:$port "$@"
