#!/usr/bin/env bash
# A million names in a thousand zone files, all static, then all steered: how long until the first answer, how much memory, how many
# bytes a name, what an answer costs against ten names, and the time that answers take while a zone is read again against calm
# periods between: the median of the ratios of the 99th percentiles.
# usage: test/bench/growth.sh [ZONES [NAMES]]
# env: GROWTH_SECONDS (10) of all calm, and all other, periods together; GROWTH_PAIRS (5) of them
set -euo pipefail
cd "$(dirname "$0")/../.."
GROWTH_ZONES=${1:-1000} GROWTH_NAMES=${2:-1000} GROWTH_SECONDS=${GROWTH_SECONDS:-10} GROWTH_PAIRS=${GROWTH_PAIRS:-5} \
  go test -count=1 -v -timeout 10m -run '^TestGrowth$' ./test/growth
