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
#   MODELS            settings of the model bench (--preset tiny,vit-tiny,r50,vit-s --patch 224 --batch 32)
# A dry run on a CPU adapter:
#   KERNEL=layer-norm BENCH_MAX_FLOPS=5e8 MODEL='--preset tiny --batch 8' MODELS='--preset tiny --patch 32 --batch 8' CYTONET_ADAPTER=lavapipe bash bench/gpu.sh
# Every step runs even where one before it failed, and ends at its share of the time; what one leaves over, the next ones have. The exit code is
# that of the first that failed, 124 where it was cut off. Rows of a step that is cut off are kept: check writes a line a case, the benches and
# the tuner stop by themselves.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-$root/bench/results/$(date -u +%Y-%m-%dT%H%M%SZ)}
limit=${SECONDS_LIMIT:-450}
cytonet=("${NODE:-node}" "$root/dist/cli/main.js")
read -r -a model <<<"${MODEL:---preset vit-tiny --batch 256}"
read -r -a models <<<"${MODELS:---preset tiny,vit-tiny,r50,vit-s --patch 224 --batch 32}"

if [ ! -f "$root/dist/cli/main.js" ]; then
  echo "bench/gpu.sh: dist/cli/main.js is missing, expected a build; run npm run build" >&2
  exit 66
fi
# What is kept names files of its own folder only, not where that lies.
if ! mkdir -p "$out" || ! cd "$out"; then exit 73; fi
# Choices that were tuned elsewhere, or before, must not change what is measured here.
export CYTONET_TUNED=off

start=$(date +%s)
status=0
steps=()

# Seconds until PERCENT of the limit have passed; less than 1 where they have.
remaining() { echo $((start + limit * $1 / 100 - $(date +%s))); }

# What a verb that ends by itself may take of that: a little less, and at least 1.
within() {
  local seconds
  seconds=$(($(remaining "$1") - 4))
  echo $((seconds > 1 ? seconds : 1))
}

# step NAME FILE PERCENT COMMAND...: runs a command until PERCENT of the limit have passed, and no longer.
step() {
  local name=$1 file=$2 seconds code begun
  seconds=$(remaining "$3")
  shift 3
  begun=$(date +%s)
  if [ "$seconds" -lt 1 ]; then
    code=124
  else
    timeout --kill-after=5 "$seconds" "$@" >"$file" 2>"$name.log"
    code=$?
  fi
  if [ "$code" -ne 0 ] && [ "$status" -eq 0 ]; then status=$code; fi
  steps+=("{\"step\":\"$name\",\"exit\":$code,\"seconds\":$(($(date +%s) - begun))}")
  echo "$name: exit $code after $(($(date +%s) - begun)) s" >&2
}

kernel=()
if [ -n "${KERNEL:-}" ]; then kernel=("$KERNEL"); fi
most=()
if [ -n "${BENCH_MAX_FLOPS:-}" ]; then most=(--max-flops "$BENCH_MAX_FLOPS"); fi

step doctor doctor.json 8 "${cytonet[@]}" doctor --format json
step check check.jsonl 46 "${cytonet[@]}" check --format jsonl "${kernel[@]}"
step profile-train profile-train.json 53 "${cytonet[@]}" profile train "${model[@]}" --format json --html profile-train.html --trace trace-train.json --force
step profile-embed profile-embed.json 58 "${cytonet[@]}" profile embed "${model[@]}" --format json --html profile-embed.html --force
step bench-model bench-model.json 70 "${cytonet[@]}" bench model "${models[@]}" --format json --seconds "$(within 66)"
step bench bench.json 86 "${cytonet[@]}" bench --format json --seconds "$(within 84)" "${most[@]}" "${kernel[@]}"
step tune tune.json 96 "${cytonet[@]}" tune --format json --store tuned.json --minutes "$(awk "BEGIN { print $(within 94) / 60 }")" --timeout 20 "${most[@]}" "${kernel[@]}"
# A training step with what was found: what tuning gains in all.
if [ -f tuned.json ]; then
  export CYTONET_TUNED=tuned.json
  step profile-tuned profile-tuned.json 100 "${cytonet[@]}" profile train "${model[@]}" --format json
fi

# On what all of it ran, from the first file that says so.
device=$(
  "${NODE:-node}" -e '
    for (const file of ["profile-train.json", "profile-embed.json", "bench-model.json", "bench.json"]) {
      try {
        const { device } = JSON.parse(require("node:fs").readFileSync(file, "utf8"));
        console.log(JSON.stringify({ adapter: device.adapter, driver: device.driver }).slice(1, -1) + ",");
        break;
      } catch {}
    }'
)
(
  IFS=,
  echo "{${device}\"date\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"seconds\":$(($(date +%s) - start)),\"steps\":[${steps[*]}]}"
) >run.json
echo "results: $out" >&2
exit "$status"
