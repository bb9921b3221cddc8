// What is said of a point, a target and a gate: the same words on hover, on focus and to a screen reader.

import { cost, digits, perMegawatt, short } from "./quantities.mjs";

const KNOWN = [
  ["output_throughput_per_gpu", "output tok/s/GPU", 1],
  ["e2e_interactivity", "tok/s/user end to end", 1],
  ["tpot_p99_s", "ms tpot p99", 1e3],
  ["ttft_p50_s", "ms ttft p50", 1e3],
  ["ttft_p99_s", "ms ttft p99", 1e3],
  ["itl_p99_s", "ms itl p99", 1e3],
  ["request_latency_p50_s", "s request p50", 1],
  ["request_latency_p99_s", "s request p99", 1],
  ["joules_per_token", "J/token", 1],
  ["acceptance_length", "tokens accepted per step", 1],
];

function stateOf(point, what) {
  return point.state === "baseline" || point.launch > 1 ? `${what}, launch ${point.launch}` : what;
}

// Lines: the point first, then its numbers.
export function pointLines(point, prices, what, isOnFrontier) {
  const gpus = `${point.gpus} GPU${point.gpus === 1 ? "" : "s"}`;
  const lines = [
    `${point.precision.toUpperCase()} ${point.configuration}, concurrency ${point.concurrency}, ${gpus}`,
    `${stateOf(point, what)}, ${isOnFrontier ? "on the frontier" : "behind the frontier"}`,
    `${digits(point.interactivity)} tok/s/user, ${(1e3 / point.interactivity).toFixed(2)} ms tpot p50`,
    `${digits(point.throughput_per_gpu)} tok/s/GPU`,
    `$${cost(prices.price, point.throughput_per_gpu).toFixed(3)}/M tokens, ` +
      `${perMegawatt(point.throughput_per_gpu, prices.kilowatts).toFixed(0)} tok/s/MW`,
  ];
  if (Number.isFinite(point.ratio)) lines.splice(2, 0, `${point.ratio.toFixed(3)}x the other's tok/s/GPU here`);
  const known = KNOWN.filter(([name]) => Number.isFinite(point[name]));
  lines.push(...known.map(([name, unit, scale]) => `${digits(point[name] * scale)} ${unit}`));
  if (!known.length && point.state === "run") lines.push("ttft and other latencies: not measured");
  return lines;
}

export function gateLines(gates, point) {
  if (!gates.length) return [`${short(point)} tok/s/user`, "a target of the reader, no gate"];
  return [
    `${short(point)} tok/s/user`,
    ...gates.map((gate) => {
      const name = `${gate.precisions.join("/")} ${gate.metric}`;
      return `${name}: ${gate.verdict} ${gate.change} (tolerance ${short(gate.tolerance * 100)}%)`;
    }),
  ];
}

const WORST = ["REGRESSED", "DRIFTED", "IMPLAUSIBLE", "ENVIRONMENT_CHANGED", "MISMATCH", "INCONCLUSIVE", "MISSING"];
const UNSURE = ["INCONCLUSIVE", "MISSING", "MISMATCH"];

// The verdict that decides over several gates, as the kind of mark it has.
export function markOf(gates) {
  if (!gates.length) return "none";
  const failing = gates.filter((gate) => !gate.passes).map((gate) => gate.verdict);
  if (!failing.length) return "good";
  failing.sort((a, b) => WORST.indexOf(a) - WORST.indexOf(b));
  return UNSURE.includes(failing[0]) ? "unsure" : "bad";
}
