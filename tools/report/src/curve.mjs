// Frontier and curve, by the rules of pytest_precgate/analysis/curves: what the page reads is what the gates read.

// Slopes at the knots: M. Steffen 1990, A&A 239, 443, as in d3's curveMonotoneX and in interpolation.py.
export function slopes(x, y) {
  const n = x.length;
  const steps = [];
  const secants = [];
  for (let i = 0; i + 1 < n; i++) {
    steps.push(x[i + 1] - x[i]);
    secants.push((y[i + 1] - y[i]) / steps[i]);
  }
  if (n === 2) return [secants[0], secants[0]];
  const found = new Array(n);
  for (let i = 1; i + 1 < n; i++) {
    const [left, right] = [secants[i - 1], secants[i]];
    const parabola = (left * steps[i] + right * steps[i - 1]) / (steps[i - 1] + steps[i]);
    const limit = Math.min(Math.abs(left), Math.abs(right), 0.5 * Math.abs(parabola));
    found[i] = (Math.sign(left) + Math.sign(right)) * limit;
  }
  found[0] = (3 * secants[0] - found[1]) / 2;
  found[n - 1] = (3 * secants[n - 2] - found[n - 2]) / 2;
  return found;
}

// The curve through (x, y), x rising; at() gives NaN outside, because nothing is extrapolated.
export function curveThrough(x, y) {
  const m = x.length > 1 ? slopes(x, y) : [];
  const [low, high] = [x[0], x[x.length - 1]];
  function at(t) {
    if (!(x.length > 1 && t >= low && t <= high)) return NaN;
    let i = 0;
    while (i + 2 < x.length && t > x[i + 1]) i++;
    const h = x[i + 1] - x[i];
    const s = (t - x[i]) / h;
    const r = 1 - s;
    return (
      y[i] * (1 + 2 * s) * r * r + y[i + 1] * s * s * (3 - 2 * s) + h * (m[i] * s * r * r - m[i + 1] * s * s * r)
    );
  }
  return { x, y, low, high, at };
}

// The points that no other equals or exceeds in both axes, by rising x; of equal points the first by key.
export function frontier(points, xOf, yOf) {
  const fastest = points
    .filter((point) => Number.isFinite(xOf(point)) && Number.isFinite(yOf(point)))
    .sort((a, b) => xOf(b) - xOf(a) || yOf(b) - yOf(a) || byKey(a, b));
  const kept = [];
  for (const point of fastest) {
    if (!kept.length || yOf(point) > yOf(kept[kept.length - 1])) kept.push(point);
  }
  return kept.reverse();
}

function byKey(a, b) {
  if (a.configuration !== b.configuration) return a.configuration < b.configuration ? -1 : 1;
  return a.gpus - b.gpus || a.concurrency - b.concurrency;
}

// Abscissae for a line that is no cubic on the screen: every knot, and so many between two.
export function samples(curve, between = 24) {
  const found = [];
  for (let i = 0; i + 1 < curve.x.length; i++) {
    for (let k = 0; k < between; k++) found.push(curve.x[i] + ((curve.x[i + 1] - curve.x[i]) * k) / between);
  }
  found.push(curve.high);
  return found;
}
