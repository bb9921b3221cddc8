// The page's data as objects, and the state of one picture: what is shown of it, and of which numbers.

const FILTERED = ["precisions", "configurations"];

// A picture with its points as objects. Rows of the document hold one value per column.
export function pictureOf(value) {
  const series = value.series.map((each) => {
    const points = each.points.map((cells) => {
      const point = { precision: each.precision, state: each.state, launch: each.launch };
      value.columns[each.columns].forEach((name, i) => (point[name] = cells[i]));
      return point;
    });
    return { ...each, points };
  });
  const points = series.flatMap((each) => each.points);
  const configurations = [...new Set(points.map((point) => point.configuration))].sort();
  const first = Object.fromEntries(
    series.filter((each) => each.state === "run" && each.launch === 1).map((each) => [each.precision, each.points]),
  );
  const speculates = points.some((point) => Number.isFinite(point.acceptance_length));
  const hasPlain = points.some((point) => !Number.isFinite(point.acceptance_length));
  const hasBaseline = series.some((each) => each.state === "baseline");
  return { ...value, series, points, configurations, first, canFilterSpeculation: speculates && hasPlain, hasBaseline };
}

export function defaultState(picture) {
  return {
    y: "throughput",
    x: "tpot",
    logy: false,
    logx: false,
    base: true,
    launches: true,
    precisions: [...picture.precisions],
    configurations: [...picture.configurations],
    spec: "all",
    at: [...picture.targets],
    price: picture.hardware.price_per_gpu_hour,
    kilowatts: picture.hardware.power_kw_per_gpu,
    words: picture.wording,
  };
}

export const isShown = (state, point) =>
  state.precisions.includes(point.precision) &&
  state.configurations.includes(point.configuration) &&
  (state.spec === "all" || (state.spec === "on") === Number.isFinite(point.acceptance_length));

export const isFiltered = (state, picture) =>
  state.spec !== "all" || FILTERED.some((name) => state[name].length !== picture[name].length);

// --- deep links ----------------------------------------------------------------------------------------------------

// The part of a fragment that says how one picture differs from its default.
export function written(picture, state) {
  const start = defaultState(picture);
  const found = [];
  for (const [key, value] of Object.entries(state)) {
    const [now, then] = [value, start[key]].map((each) => (Array.isArray(each) ? each.join("~") : String(each)));
    if (now !== then) found.push([`${picture.id}.${key}`, now]);
  }
  return found;
}

// The state that a fragment asks for; what it does not know, or what is no value here, is left as it is.
export function readState(picture, parameters) {
  const state = defaultState(picture);
  for (const [key, start] of Object.entries(state)) {
    const text = parameters.get(`${picture.id}.${key}`);
    if (text === null) continue;
    if (typeof start === "boolean") state[key] = text === "true";
    else if (typeof start === "number") state[key] = positive(text, start);
    else if (key === "at") state.at = targets(text);
    else if (Array.isArray(start)) state[key] = text.split("~").filter((word) => start.includes(word));
    else state[key] = text;
  }
  return state;
}

function positive(text, otherwise) {
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? value : otherwise;
}

function targets(text) {
  const found = text.split("~").map(Number).filter((value) => Number.isFinite(value) && value > 0);
  return [...new Set(found)].slice(0, 50);
}
