// Reads both curves at a target, and puts the row into words: analysis/curves/comparison.py in the page.

import { curveThrough, frontier } from "./curve.mjs";
import { cost, perMegawatt, rounded } from "./quantities.mjs";

const x = (point) => point.interactivity;
const y = (point) => point.throughput_per_gpu;

// What one precision's points give at any interactivity.
export function reader(points, mode) {
  const front = frontier(points, x, y);
  const xs = front.map(x);
  const throughput = curveThrough(xs, front.map(y));
  const concurrency = curveThrough(xs, front.map((point) => point.concurrency));
  function at(target, prices) {
    const value = throughput.at(target);
    const costs = curveThrough(xs, front.map((point) => cost(prices.price, y(point))));
    return {
      throughput: value,
      cost: mode === "interpolated" ? costs.at(target) : cost(prices.price, value),
      megawatt: perMegawatt(value, prices.kilowatts),
      concurrency: rounded(concurrency.at(target)),
    };
  }
  return { at, low: throughput.low, high: throughput.high, canRead: front.length > 1 };
}

// A row of the comparison; null outside the band that both curves share.
export function row(candidate, reference, target, prices) {
  const band = [Math.max(candidate.low, reference.low), Math.min(candidate.high, reference.high)];
  if (!(candidate.canRead && reference.canRead && target >= band[0] && target <= band[1])) return { band, read: null };
  const read = [candidate.at(target, prices), reference.at(target, prices)];
  return { band, read, throughput: read[0].throughput / read[1].throughput, cost: read[0].cost / read[1].cost };
}

const more = (larger, smaller) => rounded((larger / smaller - 1) * 100);

// The row in words, by its ratios or in the sentences of the published page.
export function wording(found, names, says) {
  const [first, second] = names.map((name) => name.toUpperCase());
  const [a, b] = found.read;
  if (says === "published") {
    const cheap = a.cost <= b.cost ? first : second;
    const fast = a.throughput >= b.throughput ? first : second;
    const costs = [a.cost, b.cost].sort((one, other) => one - other);
    const rates = [a.throughput, b.throughput].sort((one, other) => one - other);
    return (
      `${cheap} is ${more(costs[1], costs[0])}% cheaper per token; ` +
      `${fast} delivers ${more(rates[1], rates[0])}% more tok/s/GPU`
    );
  }
  const percent = rounded((found.cost - 1) * 100);
  const share = percent ? `${Math.abs(percent)}% ${percent > 0 ? "more" : "less"}` : "the same";
  return (
    `${first} costs ${found.cost.toFixed(3)}x of ${second} per token (${share}) and delivers ` +
    `${found.throughput.toFixed(2)}x its tok/s/GPU`
  );
}
