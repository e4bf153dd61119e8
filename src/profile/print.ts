// A profile as text: fixed columns that fit into 80, the kernel last, and what the run's time is made of.
import type { ProfileReport, ProfileRow } from "./profile.ts";
import { formatRate, formatTime } from "./units.ts";

const HEAD = `${"calls".padStart(5)} ${"µs".padStart(9)} ${"share".padStart(5)} ${"GFLOP/s".padStart(8)} ${"GB/s".padStart(7)} ${"of roof".padEnd(12)} kernel`;

/** One row, as `    9    1234.5 12.3%    12.34    5.67 61% compute  conv2d_dw.broadcast`. */
export function printRow({ calls, microseconds, share, gflops, gbytes, bound, ofRoof, name }: ProfileRow): string {
  const roof = `${(100 * ofRoof).toFixed(0).padStart(3)}% ${bound}`;
  return `${calls.toFixed(0).padStart(5)} ${microseconds.toFixed(1).padStart(9)} ${`${(100 * share).toFixed(1)}%`.padStart(5)} ${printNumber(gflops).padStart(8)} ${printNumber(gbytes).padStart(7)} ${roof.padEnd(12)} ${name}`;
}

function printNumber(value: number): string {
  return value === 0 ? "-" : value >= 1000 ? value.toFixed(0) : value.toFixed(value >= 100 ? 1 : 2);
}

/** Everything for a terminal. */
export function printProfile(report: ProfileReport): string {
  return [...describeProfile(report), "", HEAD, ...report.rows.map(printRow), ""].join("\n");
}

/** What was profiled, on what, and what the time is made of. */
export function describeProfile({ subject, device, roofs, accounting, replay, clock, runs }: ProfileReport): string[] {
  const { span, kernels, gaps, overlap, longestGap } = accounting;
  const part = (milliseconds: number) => `${formatTime(milliseconds)} (${((100 * milliseconds) / Math.max(span, 1e-9)).toFixed(1)}%)`;
  return [
    subject,
    `  on ${device.adapter}`,
    `  roofs    ${formatRate(roofs.flops, "FLOP/s")}, ${formatRate(roofs.bytes, "B/s")}, ${formatTime(1e3 * roofs.launch)} a launch, as measured`,
    `  replay   ${formatTime(replay.milliseconds)} to the result, ${formatTime(replay.call)} of that in the call;`,
    `           ${replay.dispatches} dispatches, ${replay.submits} ${replay.submits === 1 ? "submit" : "submits"}, ${((1e3 * replay.patches) / replay.milliseconds).toFixed(0)} patches/s`,
    `  stamped  ${formatTime(span)} on the GPU = kernels ${part(kernels)} + gaps ${part(gaps)}${overlap > 0 ? ` − overlap ${part(overlap)}` : ""}`,
    ...(longestGap.milliseconds > 0 ? [`           longest gap ${formatTime(longestGap.milliseconds)}, after ${longestGap.after}`] : []),
    clock === "device" ? `  clock    the device's timestamps; ${runs === 1 ? "one run" : `means of ${runs} runs`}` : `  clock    the host's: no timestamp-query here, each kernel was run alone`,
  ];
}
