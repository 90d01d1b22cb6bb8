#!/usr/bin/env bash
# scripts/test-citus.sh [FILE…]: on the cluster of scripts/with-citus.sh, what of the suite uses a database or starts a program, or
# those files; and then what loses its workers.
set -uo pipefail
# Three servers run beside the tests.
node scripts/test.mjs --disable-coverage --jobs=2 --elsewhere "$@"
suite=$?
node scripts/test.mjs --disable-coverage --jobs=1 test/citus && [ $suite = 0 ]
