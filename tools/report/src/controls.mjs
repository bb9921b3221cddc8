// What the reader may change about a picture: axes, what is shown of it.

import { choice, node, tick } from "./dom.mjs";
import { HORIZONTAL, VERTICAL, isMeasured } from "./quantities.mjs";

const NOT_MEASURED = "not measured";

export function controlsOf(picture, state, change) {
  const options = (list) =>
    list.map((each) => ({ ...each, why: isMeasured(each, picture.points) ? "" : NOT_MEASURED }));
  const axes = node(
    "div",
    { class: "controls" },
    choice("Vertical", options(VERTICAL), state.y, (y) => change({ y })),
    choice("Horizontal", options(HORIZONTAL), state.x, (x) => change({ x })),
    tick("log vertical", state.logy, (logy) => change({ logy })),
    tick("log horizontal", state.logx, (logx) => change({ logx })),
  );
  const filters = node("div", { class: "controls" });
  for (const name of picture.precisions) filters.append(member("precisions", name, name.toUpperCase(), state, change));
  if (picture.hasBaseline) filters.append(tick(picture.behind, state.base, (base) => change({ base })));
  if (picture.series.some((each) => each.state === "run" && each.launch > 1)) {
    filters.append(tick("later launches", state.launches, (launches) => change({ launches })));
  }
  if (picture.canFilterSpeculation) {
    const words = [["all", "all"], ["on", "speculative only"], ["off", "not speculative"]];
    const list = words.map(([id, label]) => ({ id, label }));
    filters.append(choice("Decoding", list, state.spec, (spec) => change({ spec })));
  }
  if (picture.configurations.length > 1) {
    const box = node("fieldset", { class: "controls" }, node("legend", {}, "configurations"));
    for (const name of picture.configurations) box.append(member("configurations", name, name, state, change));
    filters.append(box);
  }
  return node("div", { class: "panel" }, axes, filters);
}

function member(key, name, label, state, change) {
  return tick(label, state[key].includes(name), (isOn) =>
    change((now) => ({ [key]: isOn ? [...now[key], name] : now[key].filter((each) => each !== name) })),
  );
}

// What the lines and marks mean; only those that are drawn.
export function legendOf(picture, what, state) {
  const names = picture.precisions.map((name) => name.toUpperCase());
  const isRatio = state.y === "ratio";
  const entries = isRatio
    ? [["curve now c0", `${names.join(" over ")}, ${what}; points where either has one`]]
    : names.map((name, i) => [`curve now c${i}`, `${name}, ${what}: frontier and curve`]);
  if (picture.hasBaseline && state.base) {
    entries.push(["curve served c0", `${picture.behind} launch that the gates are read on`]);
    const isOther = (each) => each.state === "baseline" && !each.served;
    if (picture.series.some(isOther)) entries.push(["curve faint c0", `other launches of ${picture.behind}`]);
  }
  if (state.base && picture.gates.some((gate) => gate.baseline !== null)) entries.push(["band c0", "tolerated loss"]);
  const items = entries.map(([kind, text]) => node("li", {}, swatch(kind), text));
  if (!isRatio) items.push(node("li", {}, "hollow points are behind the frontier"));
  return items;
}

function swatch(kind) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ width: 26, height: 10, "aria-hidden": "true" })) made.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("class", kind);
  path.setAttribute("d", kind.startsWith("band") ? "M1,1H25V9H1Z" : "M1,5H25");
  made.append(path);
  return made;
}
