// The entry: fills every picture's frame, keeps the address in step with what is shown, opens everything for paper.

import { controlsOf, legendOf } from "./controls.mjs";
import { node } from "./dom.mjs";
import { drawFigure } from "./figure.mjs";
import { defaultState, isFiltered, pictureOf, readState, written } from "./model.mjs";
import { tableOf } from "./table.mjs";
import { tipOf } from "./tip.mjs";

const data = JSON.parse(document.getElementById("precgate-data").textContent);
const views = [];

function parameters() {
  const text = location.hash.slice(1);
  return new URLSearchParams(text.includes("=") ? text : "");
}

function keepAddress() {
  const found = new URLSearchParams(views.flatMap((view) => written(view.picture, view.state)));
  const wanted = found.size ? `#${found}` : location.hash.includes("=") ? "#" : location.hash;
  if (wanted === location.hash || (wanted === "#" && !location.hash)) return;
  try {
    history.replaceState(null, "", wanted);
  } catch {
    // A frame without an address of its own: the page works, and has no link to its state.
  }
}

function viewOf(frame, picture) {
  const host = frame.querySelector(".picture");
  host.replaceChildren();
  const panel = node("div");
  const note = node("p", { class: "note", "aria-live": "polite" });
  const legend = node("ul", { class: "legend" });
  host.after(legend, panel, note);
  const tip = tipOf(host);
  const view = { frame, picture, state: readState(picture, parameters()), draw, rebuild };
  const update = tableOf(frame.querySelector(".published"), picture, change);
  let [wanted, width] = [0, 0];

  function change(what) {
    if (what === null) {
      view.state = defaultState(picture);
      rebuild();
    } else {
      view.state = { ...view.state, ...(typeof what === "function" ? what(view.state) : what) };
      draw();
    }
    keepAddress();
  }
  function rebuild() {
    panel.replaceChildren(controlsOf(picture, view.state, change));
    update({ ...view.state, at: [] });
    draw();
  }
  function draw() {
    tip.hide();
    legend.replaceChildren(...legendOf(picture, data.what, view.state));
    update(view.state);
    width = host.clientWidth;
    tip.items(drawFigure(host, picture, view.state, data.what, tip));
    const isOfAll = !isFiltered({ ...view.state, precisions: picture.precisions }, picture);
    note.textContent = isOfAll ? "" : "Filtered: the table follows; gates and their marks are of all points, and are not drawn.";
  }
  new ResizeObserver(() => {
    cancelAnimationFrame(wanted);
    wanted = requestAnimationFrame(() => {
      if (host.clientWidth && host.clientWidth !== width && !host.contains(document.activeElement)) draw();
    });
  }).observe(host);
  rebuild();
  return view;
}

// On paper everything is open, and as it was afterwards.
let opened = [];
function open() {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const each of opened) each.open = true;
}
function close() {
  for (const each of opened) each.open = false;
  opened = [];
}

for (const frame of document.querySelectorAll("[data-picture]")) {
  views.push(viewOf(frame, pictureOf(data.pictures[Number(frame.dataset.picture)])));
}
addEventListener("hashchange", () => {
  const found = parameters();
  if (!location.hash.includes("=")) return;
  for (const view of views) {
    view.state = readState(view.picture, found);
    view.rebuild();
  }
});
addEventListener("beforeprint", open);
addEventListener("afterprint", close);
const first = views.find((view) => written(view.picture, view.state).length);
if (first && views.length > 1) first.frame.scrollIntoView();
document.documentElement.dataset.ready = "yes";
performance.mark("precgate-ready");
