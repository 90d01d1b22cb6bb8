#!/usr/bin/env bash
# scripts/test-citus.sh [FILE…]: the suite, or those files, on the cluster of scripts/with-citus.sh; and then what loses its workers.
set -uo pipefail
node scripts/test.mjs --disable-coverage "$@"
suite=$?
node scripts/test.mjs --disable-coverage --jobs=1 test/citus && [ $suite = 0 ]
