// What the axes can show: where a quantity comes from, its name, and why it may be missing.

export const cost = (price, throughput) => (price * 1e6) / (3600 * throughput);
export const perMegawatt = (throughput, kilowatts) => (throughput * 1000) / kilowatts;

// A quantity is derived from throughput (`from`), or measured at each point (`column`).
export const VERTICAL = [
  { id: "throughput", label: "tok/s/GPU", isLinear: true, from: (t) => t },
  { id: "ratio", label: "ratio of tok/s/GPU", isRatio: true },
  { id: "output", label: "output tok/s/GPU", column: "output_throughput_per_gpu", scale: 1 },
  { id: "cost", label: "$/M tokens", lowerIsBetter: true, from: (t, prices) => cost(prices.price, t) },
  { id: "megawatt", label: "tok/s/MW", isLinear: true, from: (t, prices) => perMegawatt(t, prices.kilowatts) },
  { id: "joules", label: "J/token", lowerIsBetter: true, column: "joules_per_token", scale: 1 },
  { id: "ttft", label: "ttft p50, ms", lowerIsBetter: true, column: "ttft_p50_s", scale: 1000 },
];
export const HORIZONTAL = [
  { id: "tpot", label: "tok/s/user (1 / median tpot)", column: "interactivity" },
  { id: "e2e", label: "tok/s/user end to end (ttft included)", column: "e2e_interactivity" },
];

export const named = (list, id) => list.find((each) => each.id === id) ?? list[0];
export const isMeasured = (quantity, points) =>
  !quantity.column || points.some((point) => Number.isFinite(point[quantity.column]));

// The value of a quantity at a point; NaN where it was not measured.
export function valueOf(quantity, point, prices) {
  if (quantity.isRatio) return point.ratio;
  if (quantity.from) return quantity.from(point.throughput_per_gpu, prices);
  const value = point[quantity.column];
  return Number.isFinite(value) ? value * (quantity.scale ?? 1) : NaN;
}

// --- figures in words, with the digits of the other reports --------------------------------------------------------

// Python's :g, and its round(), which takes a tie to the even number.
export const short = (value) => String(Number(value.toPrecision(6)));
export function rounded(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
export function digits(value) {
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  if (size >= 100) return value.toFixed(1);
  return size >= 10 ? value.toFixed(2) : value.toFixed(3);
}
