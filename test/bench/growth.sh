#!/usr/bin/env bash
# A million names in a thousand zone files: how long until the first answer, how much memory, how many bytes a name, and the time
# that answers take before and while a zone is read again.
# usage: test/bench/growth.sh [ZONES [NAMES]]      env: GROWTH_SECONDS (10) of each measurement
set -euo pipefail
cd "$(dirname "$0")/../.."
GROWTH_ZONES=${1:-1000} GROWTH_NAMES=${2:-1000} GROWTH_SECONDS=${GROWTH_SECONDS:-10} \
  go test -count=1 -v -timeout 10m -run '^TestGrowth$' ./test/growth
