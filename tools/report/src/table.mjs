// The published table with the reader's targets and prices: every number follows from the points.

import { choice, node, number } from "./dom.mjs";
import { isShown } from "./model.mjs";
import { short } from "./quantities.mjs";
import { reader, row, wording } from "./readings.mjs";

const WORDS = [
  { id: "ratios", label: "ratios" },
  { id: "published", label: "as the published page" },
];

export function tableOf(host, picture, change) {
  const names = picture.precisions;
  const both = names.map((name) => name.toUpperCase()).join(" / ");
  const units = ["tok/s/GPU", "$/M tokens", "tok/s/MW", "concurrency"].map((unit) => `${unit} ${both}`);
  const head = ["tok/s/user", ...units, "tok/s/GPU ratio", "$/M tokens ratio"];
  const body = node("tbody");
  const words = node("ul", { class: "words", "aria-live": "polite" });
  const prices = node("div", { class: "controls" });
  host.replaceChildren(
    prices,
    node(
      "div",
      { class: "scroll", role: "region", tabindex: 0, "aria-label": "Comparison at the same interactivity" },
      node(
        "table",
        { class: "figures" },
        node("caption", {}, "Comparison at the same interactivity; targets and prices may be edited"),
        node("thead", {}, node("tr", {}, ...head.map((cell) => node("th", { scope: "col" }, cell)))),
        body,
      ),
    ),
    words,
  );
  let shownTargets = -1;
  return function update(state) {
    if (shownTargets !== state.at.length) {
      shownTargets = state.at.length;
      body.replaceChildren(...state.at.map((at, i) => editable(at, i, state, change, head.length)));
      prices.replaceChildren(...fields(picture, state, change));
    }
    const shown = names.map((name) => picture.first[name].filter((point) => shownIn(state, point)));
    const readers = shown.map((points) => reader(points, picture.cost));
    const known = { price: state.price, kilowatts: state.kilowatts };
    const found = state.at.map((at) => row(...readers, at, known));
    found.forEach((each, i) => fill(body.rows[i], each));
    words.replaceChildren(
      ...found
        .map((each, i) => [each, state.at[i]])
        .filter(([each]) => each.read)
        .map(([each, at]) => node("li", {}, `at ${short(at)} tok/s/user: ${wording(each, names, state.words)}`)),
    );
  };
}

// A precision that is not drawn is compared all the same.
const shownIn = (state, point) => isShown({ ...state, precisions: [point.precision] }, point);

function fields(picture, state, change) {
  const positive = (key) => (value, input) => {
    const isGood = Number.isFinite(value) && value > 0;
    input.setAttribute("aria-invalid", String(!isGood));
    if (isGood) change({ [key]: value });
  };
  return [
    number("$ per GPU-hour", state.price, positive("price")),
    number("kW per GPU", state.kilowatts, positive("kilowatts")),
    choice("Words", WORDS, state.words, (words) => change({ words })),
    node("button", { type: "button", onclick: () => change((now) => ({ at: [...now.at, middle(picture, now)] })) }, "Add a target"),
    node("button", { type: "button", onclick: () => change(null) }, "Reset"),
  ];
}

// A new target: the middle of the widest gap that the band has.
function middle(picture, state) {
  const readers = picture.precisions.map((name) => reader(picture.first[name], picture.cost));
  const [low, high] = [Math.max(...readers.map((each) => each.low)), Math.min(...readers.map((each) => each.high))];
  const knots = [low, ...state.at.filter((at) => at > low && at < high).sort((a, b) => a - b), high];
  let best = 1;
  for (let i = 1; i < knots.length; i++) if (knots[i] - knots[i - 1] > knots[best] - knots[best - 1]) best = i;
  return Math.round((knots[best - 1] + knots[best]) / 2);
}

function editable(at, i, state, change, width) {
  const input = number(null, at, (value, field) => {
    const isGood = Number.isFinite(value) && value > 0;
    field.setAttribute("aria-invalid", String(!isGood));
    if (isGood) change((now) => ({ at: now.at.map((each, k) => (k === i ? value : each)) }));
  }, { "aria-label": `target ${i + 1}, tok/s/user`, class: "at" });
  const remove = node("button", {
    type: "button",
    class: "remove",
    "aria-label": `remove target ${i + 1}`,
    onclick: () => change((now) => ({ at: now.at.filter((_, k) => k !== i) })),
  }, "×");
  const cells = Array.from({ length: width - 1 }, () => node("td"));
  return node("tr", {}, node("th", { scope: "row" }, input, remove), ...cells);
}

function fill(line, found) {
  const [throughput, cost, megawatt, concurrency, ratio, costs] = [...line.cells].slice(1);
  if (!found.read) {
    const [low, high] = found.band;
    const why = low <= high ? `outside the shared band ${low.toFixed(1)} to ${high.toFixed(1)}` : "no shared band";
    for (const cell of [throughput, cost, megawatt, concurrency, ratio, costs]) put(cell, "-", []);
    put(throughput, why, []);
    return;
  }
  const [a, b] = found.read;
  put(throughput, `${a.throughput.toFixed(1)} / ${b.throughput.toFixed(1)}`, [a.throughput, b.throughput]);
  put(cost, `${a.cost.toFixed(3)} / ${b.cost.toFixed(3)}`, [a.cost, b.cost]);
  put(megawatt, `${a.megawatt.toFixed(0)} / ${b.megawatt.toFixed(0)}`, [a.megawatt, b.megawatt]);
  put(concurrency, `~${a.concurrency} / ~${b.concurrency}`, [a.concurrency, b.concurrency]);
  put(ratio, `${found.throughput.toFixed(3)}x`, [found.throughput]);
  put(costs, `${found.cost.toFixed(3)}x`, [found.cost]);
}

// The text for a reader, the full digits for a test or a script.
function put(cell, text, values) {
  cell.textContent = text;
  cell.dataset.values = JSON.stringify(values);
}
