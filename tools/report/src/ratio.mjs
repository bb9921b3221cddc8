// The advantage itself: throughput per GPU of the candidate over that of the reference, at the same interactivity.

import { curveThrough, frontier } from "./curve.mjs";
import { isShown } from "./model.mjs";

const x = (point) => point.interactivity;
const y = (point) => point.throughput_per_gpu;

// One series per pair of launches of one number, as a series of a precision: its points are those of either curve
// inside the band that both share, each with the ratio there.
export function ratioSeries(picture, state, isDrawn) {
  const [candidate, reference] = picture.precisions;
  const of = (precision) => picture.series.filter((each) => each.precision === precision);
  const found = [];
  for (const first of of(candidate).filter(isDrawn)) {
    const others = of(reference).filter((each) => each.state === first.state);
    const second = others.find((each) => each.launch === first.launch) ?? (others.length === 1 ? others[0] : null);
    if (!second) continue;
    const fronts = [first, second].map((each) => frontier(each.points.filter((point) => isKept(state, point)), x, y));
    const [a, b] = fronts.map((front) => curveThrough(front.map(x), front.map(y)));
    const at = (t) => a.at(t) / b.at(t);
    const points = fronts
      .flat()
      .map((point) => ({ ...point, ratio: at(x(point)) }))
      .filter((point) => Number.isFinite(point.ratio))
      .sort((one, other) => x(one) - x(other));
    const front = points.filter((point, i) => !i || x(point) > x(points[i - 1]));
    if (points.length) found.push({ ...first, served: first.served && first.state === "baseline", points, front, at });
  }
  return found;
}

const isKept = (state, point) => isShown({ ...state, precisions: [point.precision] }, point);
