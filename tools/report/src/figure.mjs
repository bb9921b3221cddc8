// Draws a picture as SVG: axes, the tolerance band, curves, targets with verdicts, points. d3 gives scales and lines.

import { axisBottom, axisLeft } from "d3-axis";
import { scaleLinear, scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { curveMonotoneX, line } from "d3-shape";

import { curveThrough, frontier, samples } from "./curve.mjs";
import { gateLines, markOf, pointLines } from "./describe.mjs";
import { isShown } from "./model.mjs";
import { ratioSeries } from "./ratio.mjs";
import { HORIZONTAL, VERTICAL, named, short, valueOf } from "./quantities.mjs";

const MARGIN = { top: 58, right: 22, bottom: 46, left: 58 };
const GLYPHS = { good: "M-3.4,0.2L-1,2.8L3.6,-2.8", bad: "M-2.8,-2.8L2.8,2.8M2.8,-2.8L-2.8,2.8" };

// Everything a drawing needs, computed from the state; no element is touched here.
function layoutOf(picture, state, width) {
  const height = Math.round(Math.min(520, Math.max(320, width * 0.56)));
  const yq = named(VERTICAL, state.y);
  const xq = yq.isRatio ? HORIZONTAL[0] : named(HORIZONTAL, state.x);
  const prices = { price: state.price, kilowatts: state.kilowatts };
  const xOf = (point) => valueOf(xq, point, prices);
  const yOf = (point) => valueOf(yq, point, prices);
  const hasState = (each) =>
    each.state === "baseline" ? state.base : each.launch === 1 || state.launches;
  const series = yq.isRatio ? ratioSeries(picture, state, hasState) : picture.series
    .filter((each) => hasState(each) && state.precisions.includes(each.precision))
    .map((each) => {
      const points = each.points.filter(
        (point) => isShown(state, point) && Number.isFinite(xOf(point)) && Number.isFinite(yOf(point)),
      );
      return { ...each, points, front: frontier(points, xOf, (point) => point.throughput_per_gpu) };
    })
    .filter((each) => each.points.length);
  const points = series.flatMap((each) => each.points);
  const isOfAll = state.spec === "all" && state.configurations.length === picture.configurations.length;
  const gates = isOfAll && xq.id === "tpot" ? picture.gates : [];
  const metric = yq.isRatio ? "throughput_ratio" : yq.from ? "throughput_per_gpu" : null;
  const marked = gates.filter((gate) => gate.metric === metric && (yq.isRatio || state.precisions.includes(gate.precisions[0])));
  const x = scale(state.logx, points.map(xOf), [MARGIN.left, width - MARGIN.right], false);
  const y = scale(state.logy, points.map(yOf), [height - MARGIN.bottom, MARGIN.top], !yq.isRatio);
  return { marked, width, height, yq, xq, prices, xOf, yOf, series, points, gates, x, y, state, picture };
}

function scale(isLog, values, range, fromZero) {
  let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [1, 10];
  if (isLog) return scaleLog().domain([low / 1.12, high * 1.12]).range(range);
  const pad = 0.05 * (high - low || high);
  low = fromZero ? 0 : Math.max(0, low - pad);
  return scaleLinear().domain([low, high + pad]).range(range).nice();
}

// The curve of one launch in the shown quantity: as a function, and as the path on the screen.
function curveOf(plan, each) {
  const { yq, xOf, yOf, prices } = plan;
  if (each.at) return { x: each.front.map(xOf), low: xOf(each.front[0]), high: xOf(each.front[each.front.length - 1]), at: each.at };
  const xs = each.front.map(xOf);
  const isDerived = yq.from && !(yq.id === "cost" && plan.picture.cost === "interpolated");
  const through = curveThrough(xs, each.front.map(isDerived ? (point) => point.throughput_per_gpu : yOf));
  const at = isDerived ? (t) => yq.from(through.at(t), prices) : through.at;
  return { ...through, at };
}

function pathOf(plan, each) {
  if (each.front.length < 2) return null;
  const { x, y, xOf, yOf, state, yq } = plan;
  if (yq.isLinear && !state.logx && !state.logy) {
    return line().x((point) => x(xOf(point))).y((point) => y(yOf(point))).curve(curveMonotoneX)(each.front);
  }
  const curve = curveOf(plan, each);
  return line()(samples(curve).map((t) => [x(t), y(curve.at(t))]));
}

// Between the baseline's curve and the loss that is tolerated; tolerances between two targets lie on a straight line.
function bandOf(plan, each) {
  const gates = plan.marked
    .filter((gate) => gate.precisions[0] === each.precision && gate.baseline !== null)
    .sort((a, b) => a.point - b.point);
  if (!gates.length || each.front.length < 2) return null;
  const through = each.at
    ? curveOf(plan, each)
    : curveThrough(each.front.map(plan.xOf), each.front.map((point) => point.throughput_per_gpu));
  const shown = (t, share) => [plan.x(t), plan.y(gateScale(plan)(through.at(t) * (1 - share)))];
  const upper = samples(through).map((t) => shown(t, 0));
  const lower = samples(through).map((t) => shown(t, toleranceAt(gates, t)));
  return `${line()([...upper, ...lower.reverse()])}Z`;
}

// What a gate's value is on the vertical axis.
const gateScale = (plan) => (plan.yq.isRatio ? (value) => value : (value) => plan.yq.from(value, plan.prices));

function toleranceAt(gates, t) {
  const after = gates.findIndex((gate) => gate.point >= t);
  if (after === -1) return gates[gates.length - 1].tolerance;
  if (after === 0) return gates[0].tolerance;
  const [a, b] = [gates[after - 1], gates[after]];
  return a.tolerance + ((b.tolerance - a.tolerance) * (t - a.point)) / (b.point - a.point);
}

const roleOf = (plan, precision) => `c${Math.min(plan.picture.precisions.indexOf(precision), 1)}`;

// Draws into `host`; `tip` is told what is under the pointer or the focus. Returns the items a pointer can find.
export function drawFigure(host, picture, state, what, tip) {
  const plan = layoutOf(picture, state, Math.max(280, host.clientWidth || 800));
  select(host).selectAll("svg").remove();
  const id = `t-${picture.id}`;
  const svg = select(host)
    .append("svg")
    .attr("viewBox", `0 0 ${plan.width} ${plan.height}`)
    .attr("role", "group")
    .attr("aria-labelledby", `${id} ${id}-more`);
  svg.append("title").attr("id", id).text(`${plan.yq.label} against ${plan.xq.label}. ${picture.title}`);
  svg.append("desc").attr("id", `${id}-more`).text("Tab moves between lists of points, arrow keys inside one.");
  axes(svg, plan);
  if (!plan.points.length) {
    svg.append("text").attr("class", "empty").attr("x", plan.width / 2).attr("y", plan.height / 2)
      .text("No point is shown: choose other filters or another axis.");
    return [];
  }
  lines(svg, plan);
  if (picture.simulated.length) watermark(svg, plan, picture.simulated);
  const items = [...targets(svg, plan), ...points(svg, plan, what)];
  marks(svg, plan);
  labels(svg, plan);
  keys(svg, items, tip);
  return items;
}

function axes(svg, plan) {
  const { x, y, width, height, state } = plan;
  const count = Math.max(3, Math.round(width / 90));
  const text = (value) => (value >= 10000 ? `${short(value / 1000)}k` : short(value));
  const told = (axis, isLog, number) => (isLog ? axis.ticks(number, text) : axis.ticks(number).tickFormat(text));
  const inside = height - MARGIN.top - MARGIN.bottom;
  const group = svg.append("g").attr("class", "axes").attr("aria-hidden", "true");
  group.append("g").attr("transform", `translate(0,${height - MARGIN.bottom})`)
    .call(told(axisBottom(x).tickSizeInner(-inside).tickSizeOuter(0).tickPadding(8), state.logx, count));
  group.append("g").attr("transform", `translate(${MARGIN.left},0)`)
    .call(told(axisLeft(y).tickSizeInner(-(width - MARGIN.left - MARGIN.right)).tickSizeOuter(0).tickPadding(8), state.logy, 6));
  group.append("text").attr("class", "label").attr("x", width - MARGIN.right).attr("y", height - 8)
    .attr("text-anchor", "end").text(plan.xq.label);
  group.append("text").attr("class", "label").attr("x", 4).attr("y", 14).attr("text-anchor", "start")
    .text(`${plan.yq.label}${plan.yq.isRatio ? ` ${plan.picture.precisions.join(" / ").toUpperCase()}` : ""}${plan.yq.lowerIsBetter ? " (less is better)" : ""}`);
}

function lines(svg, plan) {
  const group = svg.append("g").attr("class", "lines").attr("aria-hidden", "true");
  const old = plan.series.filter((each) => each.state === "baseline");
  const banded = new Set();
  for (const each of old.filter((one) => one.served)) {
    if (banded.has(each.precision)) continue;
    banded.add(each.precision);
    const band = bandOf(plan, each);
    if (band) group.append("path").attr("class", `band ${roleOf(plan, each.precision)}`).attr("d", band);
  }
  const drawn = [...old, ...plan.series.filter((each) => each.state === "run").reverse()];
  for (const each of drawn) {
    const path = pathOf(plan, each);
    const kind = each.state === "baseline" ? (each.served ? "served" : "faint") : each.launch === 1 ? "now" : "again";
    if (path) group.append("path").attr("class", `curve ${kind} ${roleOf(plan, each.precision)}`).attr("d", path);
  }
}

function watermark(svg, plan, names) {
  const [x, y] = [(plan.width + MARGIN.left) / 2, (plan.height + MARGIN.top - MARGIN.bottom) / 2];
  svg.append("text").attr("class", "watermark").attr("aria-hidden", "true")
    .attr("transform", `translate(${x},${y}) rotate(-18)`)
    .attr("font-size", Math.min(110, plan.width / 9.5))
    .text(names.length < plan.picture.precisions.length ? `${names.join(", ")} SIMULATED` : "SIMULATED");
}

// Dashed lines at the targets, each with the verdict of its gates above the picture.
function targets(svg, plan) {
  if (plan.xq.id !== "tpot") return [];
  const [low, high] = plan.x.domain();
  const shown = [...plan.state.at].sort((a, b) => a - b).filter((at) => at >= low && at <= high);
  const list = svg.append("g").attr("class", "targets").attr("role", "list").attr("aria-label", "Targets and verdicts");
  let [last, row] = [-Infinity, 0];
  return shown.map((at) => {
    const gates = plan.gates.filter((gate) => gate.point === at);
    const x = plan.x(at);
    row = x - last < 46 ? 1 - row : 0;
    last = x;
    const top = 44 - 18 * row;
    const kind = markOf(gates);
    const texts = gateLines(gates, at);
    const item = list.append("g").attr("role", "listitem").attr("class", `target ${kind}`)
      .attr("aria-label", texts.join("; "));
    item.append("path").attr("d", `M${x},${top + 9}V${plan.height - MARGIN.bottom}`);
    if (kind !== "none") badge(item, x - 11, top, kind);
    item.append("text").attr("x", kind === "none" ? x : x + 1).attr("y", top + 4)
      .attr("text-anchor", kind === "none" ? "middle" : "start").text(short(at));
    return { element: item, list, x, y: top, texts };
  });
}

function badge(parent, x, y, kind) {
  const mark = parent.append("g").attr("class", `mark ${kind}`).attr("transform", `translate(${x},${y})`);
  mark.append("circle").attr("r", 7.5);
  if (GLYPHS[kind]) mark.append("path").attr("d", GLYPHS[kind]);
  else mark.append("text").attr("y", 3.8).attr("text-anchor", "middle").text("?");
}

// Every point: of one precision and state in one list, which is one stop of Tab.
function points(svg, plan, what) {
  const items = [];
  for (const state of ["baseline", "run"]) {
    for (const precision of plan.picture.precisions) {
      const own = plan.series.filter((each) => each.state === state && each.precision === precision);
      if (!own.length) continue;
      const label = `${precision.toUpperCase()}, ${state === "run" ? what : plan.picture.behind}`;
      const list = svg.append("g").attr("role", "list").attr("aria-label", label)
        .attr("class", `points ${state} ${roleOf(plan, precision)}`);
      for (const each of own) {
        for (const point of [...each.points].sort((a, b) => plan.xOf(a) - plan.xOf(b))) {
          const isOn = each.front.includes(point);
          const [x, y] = [plan.x(plan.xOf(point)), plan.y(plan.yOf(point))];
          const texts = pointLines(point, plan.prices, point.state === "run" ? what : plan.picture.behind, isOn);
          const element = list.append("path")
            .attr("role", "listitem").attr("aria-label", texts.join("; "))
            .attr("class", `point ${isOn ? "on" : "off"}${each.launch > 1 ? " later" : ""}`)
            .attr("transform", `translate(${x},${y})`)
            .attr("d", symbol(roleOf(plan, precision), state === "run" && each.launch === 1 ? 5 : 2.6));
          items.push({ element, list, x, y, texts });
        }
      }
    }
  }
  return items;
}

// A circle for the first precision, a square for the second: told apart without colour.
function symbol(role, r) {
  return role === "c0" ? `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0` : `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}Z`;
}

// What each gate of a throughput read, the baseline it was held against, and the tolerated loss.
function marks(svg, plan) {
  const group = svg.append("g").attr("class", "marks").attr("aria-hidden", "true");
  const shown = (value) => plan.y(gateScale(plan)(value));
  for (const gate of plan.marked) {
    const [low, high] = plan.x.domain();
    if (gate.point < low || gate.point > high) continue;
    const x = plan.x(gate.point);
    const value = gate.value ?? gate.baseline;
    if (value === null) continue;
    if (gate.baseline !== null && gate.value !== null) {
      group.append("path").attr("class", "fall").attr("d", `M${x},${shown(gate.baseline)}V${shown(gate.value)}`);
      group.append("path").attr("class", "limit").attr("d", `M${x - 9},${shown(gate.limit)}h18`);
    }
    badge(group, x, shown(value), markOf([gate]));
  }
}

// The name of each curve where it begins.
function labels(svg, plan) {
  if (plan.yq.isRatio) return;
  for (const precision of plan.picture.precisions) {
    const own = plan.series.find((each) => each.state === "run" && each.launch === 1 && each.precision === precision);
    if (!own?.front.length) continue;
    const last = own.front[own.front.length - 1];
    const [x, y] = [plan.x(plan.xOf(last)), plan.y(plan.yOf(last))];
    const isNearEdge = x > plan.width - MARGIN.right - 60;
    svg.append("text").attr("class", `name ${roleOf(plan, precision)}`).attr("aria-hidden", "true")
      .attr("x", isNearEdge ? x + 6 : x + 10).attr("y", isNearEdge ? y - 14 : y + 5)
      .attr("text-anchor", isNearEdge ? "end" : "start").text(precision.toUpperCase());
  }
}

// One stop of Tab a list; arrows move inside it, up and down to the next list, Escape hides what is told.
function keys(svg, items, tip) {
  const members = new Map();
  for (const item of items) {
    if (!members.has(item.list)) members.set(item.list, []);
    members.get(item.list).push(item);
  }
  const [lists, of] = [[...members.keys()], (list) => members.get(list)];
  for (const item of items) {
    const own = of(item.list);
    item.element.attr("tabindex", item === own[0] ? 0 : -1)
      .on("focus", () => tip.show(item))
      .on("blur", () => tip.hide())
      .on("keydown", (event) => {
        const next = target(event.key, own, own.indexOf(item), lists, item, of);
        if (event.key === "Escape") tip.hide();
        if (!next) return;
        event.preventDefault();
        for (const each of of(next.list)) each.element.attr("tabindex", each === next ? 0 : -1);
        next.element.node().focus();
      });
  }
}

function target(key, own, at, lists, item, of) {
  if (key === "ArrowRight") return own[Math.min(at + 1, own.length - 1)];
  if (key === "ArrowLeft") return own[Math.max(at - 1, 0)];
  if (key === "Home") return own[0];
  if (key === "End") return own[own.length - 1];
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  const other = step && lists[lists.indexOf(item.list) + step];
  if (!other) return null;
  return of(other).reduce((best, each) => (Math.abs(each.x - item.x) < Math.abs(best.x - item.x) ? each : best));
}
