#!/usr/bin/env bash
# The standing GPU run: what the machine is, whether every kernel is right on it, how fast each is, what tuning gains, and where a
# training step spends its time; left as JSON with adapter, driver and date in each file.
#
#   bash bench/gpu.sh [OUT]        results go to OUT, by default bench/results/<date>
#
# Needs a built dist/ (npm run build). Settings by environment:
#   CYTONET_ADAPTER   part of the adapter's name; otherwise the fastest there is
#   SECONDS_LIMIT     seconds that all steps together may take (450)
#   BENCH_MAX_FLOPS   leaves cases of more arithmetic operations out of bench and tuning (none)
#   KERNEL            only this kernel in check, bench and tuning (all)
#   MODEL             settings of the profiled models (--preset vit-tiny --batch 256)
# A dry run on a CPU adapter:
#   KERNEL=layer-norm BENCH_MAX_FLOPS=5e8 MODEL='--preset tiny --batch 8' CYTONET_ADAPTER=lavapipe bash bench/gpu.sh
# Every step runs even where one before it failed, within its share of the time; the exit code is that of the first that failed.
# Rows of a step that is cut off are kept: check writes a line a case, the bench and the tuner stop by themselves.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-$root/bench/results/$(date -u +%Y-%m-%dT%H%M%SZ)}
limit=${SECONDS_LIMIT:-450}
cytonet=("${NODE:-node}" "$root/dist/cli/main.js")
read -r -a model <<<"${MODEL:---preset vit-tiny --batch 256}"

if [ ! -f "$root/dist/cli/main.js" ]; then
  echo "bench/gpu.sh: dist/cli/main.js is missing, expected a build; run npm run build" >&2
  exit 66
fi
mkdir -p "$out" || exit 73
# Choices that were tuned elsewhere, or before, must not change what is measured here.
export CYTONET_TUNED=off

start=$(date +%s)
status=0
steps=()

# Seconds that are left.
left() { echo $((limit - ($(date +%s) - start))); }

# Seconds of SHARE percent of the limit, or what is left where that is less; at least 1.
share() {
  local seconds=$((limit * $1 / 100)) rest
  rest=$(left)
  if [ "$seconds" -gt "$rest" ]; then seconds=$rest; fi
  if [ "$seconds" -lt 1 ]; then seconds=1; fi
  echo "$seconds"
}

# step NAME FILE SHARE COMMAND...: runs a command for at most SHARE percent of the limit and never past its end.
step() {
  local name=$1 file=$2 portion=$3 code begun seconds
  shift 3
  begun=$(date +%s)
  if [ "$(left)" -le 0 ]; then
    code=124
  else
    seconds=$(share "$portion")
    timeout --kill-after=10 "$seconds" "$@" >"$out/$file" 2>"$out/$name.log"
    code=$?
  fi
  if [ "$code" -ne 0 ] && [ "$status" -eq 0 ]; then status=$code; fi
  steps+=("{\"step\":\"$name\",\"exit\":$code,\"seconds\":$(($(date +%s) - begun))}")
  echo "$name: exit $code after $(($(date +%s) - begun)) s" >&2
}

# Whether the program has a verb.
has() { "${cytonet[@]}" "$1" --help >/dev/null 2>&1; }

kernel=()
if [ -n "${KERNEL:-}" ]; then kernel=("$KERNEL"); fi
most=()
if [ -n "${BENCH_MAX_FLOPS:-}" ]; then most=(--max-flops "$BENCH_MAX_FLOPS"); fi

step doctor doctor.json 15 "${cytonet[@]}" doctor --format json
step check check.jsonl 35 "${cytonet[@]}" check --format jsonl "${kernel[@]}"
if has profile; then
  step profile-train profile-train.json 15 "${cytonet[@]}" profile train "${model[@]}" --format json --html "$out/profile-train.html" --force
  step profile-embed profile-embed.json 10 "${cytonet[@]}" profile embed "${model[@]}" --format json --html "$out/profile-embed.html" --force
fi
# The bench and the tuner end between two cases; the timeout is for one that never ends.
seconds=$(share 25)
step bench bench.json 35 "${cytonet[@]}" bench --format json --seconds "$((seconds > 5 ? seconds - 3 : 3))" "${most[@]}" "${kernel[@]}"
seconds=$(($(left) * 3 / 4))
if [ "$seconds" -gt 10 ]; then
  step tune tune.json 100 "${cytonet[@]}" tune --format json --store "$out/tuned.json" --minutes "$(awk "BEGIN { print $seconds / 60 }")" --timeout 20 "${most[@]}" "${kernel[@]}"
  # A trained step with what was found: what tuning gains in all.
  if has profile && [ -f "$out/tuned.json" ]; then
    export CYTONET_TUNED="$out/tuned.json"
    step profile-tuned profile-tuned.json 20 "${cytonet[@]}" profile train "${model[@]}" --format json
  fi
fi

(
  IFS=,
  echo "{\"date\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"seconds\":$(($(date +%s) - start)),\"steps\":[${steps[*]}]}"
) >"$out/run.json"
echo "results: $out" >&2
exit "$status"
