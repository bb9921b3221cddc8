// The box beside a point, under the pointer or the focus. Its text is the point's label, so it is hidden from readers.

import { node } from "./dom.mjs";

const REACH = 26;

export function tipOf(host) {
  const box = node("div", { class: "tip", "aria-hidden": "true", hidden: true });
  host.append(box);
  let items = [];
  const tip = {
    items(found) {
      items = found;
    },
    show(item) {
      box.replaceChildren(...item.texts.map((text) => node("div", {}, text)));
      box.hidden = false;
      const scale = (host.clientWidth || 1) / (host.querySelector("svg").viewBox.baseVal.width || 1);
      const [x, y] = [item.x * scale, item.y * scale];
      const left = Math.min(Math.max(4, x + 14), Math.max(4, host.clientWidth - box.offsetWidth - 4));
      box.style.left = `${left}px`;
      box.style.top = `${y + box.offsetHeight + 24 > host.clientHeight ? Math.max(0, y - box.offsetHeight - 14) : y + 14}px`;
    },
    hide() {
      box.hidden = true;
    },
  };
  const nearest = (event) => {
    const frame = host.querySelector("svg")?.getBoundingClientRect();
    if (!frame || !items.length) return null;
    const scale = host.querySelector("svg").viewBox.baseVal.width / frame.width;
    const [x, y] = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
    const far = (item) => Math.hypot(item.x - x, item.y - y);
    const best = items.reduce((found, item) => (far(item) <= far(found) ? item : found));
    return far(best) <= REACH ? best : null;
  };
  const follow = (event) => {
    const item = nearest(event);
    if (item) tip.show(item);
    else if (!host.contains(document.activeElement)) tip.hide();
  };
  host.addEventListener("pointermove", follow);
  host.addEventListener("pointerdown", follow);
  host.addEventListener("pointerleave", () => {
    if (!host.contains(document.activeElement)) tip.hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hide();
  });
  return tip;
}
