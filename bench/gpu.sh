#!/usr/bin/env bash
# The standing GPU run: what the machine is, whether every kernel is right on it, and how fast each is, left as JSON.
#
#   bash bench/gpu.sh [OUT]        results go to OUT, by default bench/results/<date>
#
# Needs a built dist/ (npm run build). Settings by environment:
#   CYTONET_ADAPTER   part of the adapter's name; otherwise the fastest there is
#   SECONDS_LIMIT     seconds that all steps together may take (450)
#   BENCH_MAX_FLOPS   leaves cases of more arithmetic operations out of the bench (none)
#   KERNEL            only this kernel in check and bench (all)
# A dry run on a CPU adapter: KERNEL=matmul BENCH_MAX_FLOPS=5e8 CYTONET_ADAPTER=lavapipe bash bench/gpu.sh
# Every step runs even where one before it failed; the exit code is that of the first that did.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-$root/bench/results/$(date -u +%Y-%m-%dT%H%M%SZ)}
limit=${SECONDS_LIMIT:-450}
cytonet=("${NODE:-node}" "$root/dist/cli/main.js")

if [ ! -f "$root/dist/cli/main.js" ]; then
  echo "bench/gpu.sh: dist/cli/main.js is missing, expected a build; run npm run build" >&2
  exit 66
fi
mkdir -p "$out" || exit 73

start=$(date +%s)
status=0
steps=()

# step NAME SHARE COMMAND...: runs a command for at most SHARE percent of the limit and never past its end.
step() {
  local name=$1 share=$2 code begun left seconds
  shift 2
  begun=$(date +%s)
  left=$((limit - (begun - start)))
  seconds=$((limit * share / 100))
  if [ "$seconds" -gt "$left" ]; then seconds=$left; fi
  if [ "$seconds" -le 0 ]; then
    code=124
  else
    timeout --kill-after=15 "$seconds" "$@" >"$out/$name.json" 2>"$out/$name.log"
    code=$?
  fi
  if [ "$code" -ne 0 ] && [ "$status" -eq 0 ]; then status=$code; fi
  steps+=("{\"step\":\"$name\",\"exit\":$code,\"seconds\":$(($(date +%s) - begun))}")
  echo "$name: exit $code after $(($(date +%s) - begun)) s" >&2
}

check=("${cytonet[@]}" check --format json)
bench=("${cytonet[@]}" bench --format json)
if [ -n "${KERNEL:-}" ]; then
  check+=("$KERNEL")
  bench+=("$KERNEL")
fi
if [ -n "${BENCH_MAX_FLOPS:-}" ]; then bench+=(--max-flops "$BENCH_MAX_FLOPS"); fi

step doctor 10 "${cytonet[@]}" doctor --format json
step check 50 "${check[@]}"
# The bench stops by itself between two cases, so that what it has measured is kept.
left=$((limit - ($(date +%s) - start)))
step bench 100 "${bench[@]}" --seconds "$((left > 5 ? left * 3 / 4 : 4))"

(
  IFS=,
  echo "{\"date\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"seconds\":$(($(date +%s) - start)),\"steps\":[${steps[*]}]}"
) >"$out/run.json"
echo "results: $out" >&2
exit "$status"
