#!/usr/bin/env bash
# scripts/test-citus.sh [FILE…]: the suite, or those files, on the cluster of scripts/with-citus.sh; and then what loses its workers.
set -uo pipefail
npx --no-install tap --disable-coverage "$@"
suite=$?
npx --no-install tap --disable-coverage test/citus/*.test.ts && [ $suite = 0 ]
