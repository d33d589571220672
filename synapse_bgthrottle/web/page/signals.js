// The pressure of each signal against its threshold.

import { h, theirs } from "./dom.js";
import { duration, escaped, percent, quantity } from "./words.js";

const CLASSES = {
  soft: "slows down",
  budget: "holds",
  panic: "stops at once",
};
const WIDTH = 100;
// The threshold stands at two thirds: what is beyond it is to be seen as well.
const AT_THRESHOLD = (WIDTH * 2) / 3;

export function signals(database) {
  if (database.signals.length === 0) return null;
  const order = [...database.signals].sort(
    (a, b) => rank(a) - rank(b) || b.pressure - a.pressure || a.name.localeCompare(b.name),
  );
  return [
    h("h3", null, "Signals", h("small", null, "pressure against the threshold")),
    h("ul", { class: "plain signals" }, order.map(signal)),
  ];
}

// What is told first: closed, then what can be read, then the rest.
function rank(one) {
  if (one.is_closed) return 0;
  return one.value === null ? 2 : 1;
}

function signal(one) {
  const state = one.is_closed
    ? h("span", { class: "tag bad" }, "closed: holds updates")
    : one.problem
      ? h("span", { class: "quiet" }, theirs(one.problem))
      : one.value === null
        ? h("span", { class: "quiet" }, "no reading yet")
        : one.is_stale && h("span", { class: "tag mild" }, `stale, ${duration(one.age_s)} old`);
  const value = one.value === null ? null : quantity(one.value, one.unit);
  return h(
    "li",
    { key: one.name, class: tone(one) },
    h("div", { class: "what" }, theirs(one.name, "name"), h("span", { class: "quiet" }, CLASSES[one.class] ?? escaped(one.class))),
    h(
      "div",
      { class: "reading" },
      value !== null && h("span", null, value),
      h("span", { class: "quiet" }, `threshold ${quantity(one.threshold, one.unit)}`),
      state,
    ),
    one.value !== null && gauge(one.pressure),
    one.value !== null && h("span", { class: "pressure" }, h("span", { class: "unseen" }, "pressure "), percent(one.pressure)),
  );
}

function tone(one) {
  if (one.value === null) return "unread";
  if (one.is_closed || one.pressure >= 1) return "over";
  return one.pressure >= 0.7 ? "near" : "under";
}

function gauge(pressure) {
  const filled = Math.min(Math.max(pressure, 0) * AT_THRESHOLD, WIDTH);
  return h(
    "svg",
    { class: "gauge", viewBox: `0 0 ${WIDTH} 8`, preserveAspectRatio: "none", "aria-hidden": "true" },
    h("rect", { class: "rail", width: WIDTH, height: 8 }),
    h("rect", { class: "fill", width: filled.toFixed(1), height: 8 }),
    h("line", { class: "mark", x1: AT_THRESHOLD, x2: AT_THRESHOLD, y1: 0, y2: 8 }),
  );
}
