// The pressure of each signal against its threshold.

import { h, theirs, unseen } from "./dom.js";
import { duration, escaped, percent, quantity } from "./words.js";

const CLASSES = {
  soft: "slows down",
  budget: "holds",
  panic: "stops at once",
};
const TONES = ["over", "near", "under"];
const WIDTH = 100;
// The threshold stands at two thirds: what is beyond it is to be seen as well.
const AT_THRESHOLD = (WIDTH * 2) / 3;

export function signals(database) {
  if (database.signals.length === 0) return null;
  // Nothing is read then: an old reading would only worry.
  if (database.state === "idle") return h("p", { class: "quiet" }, "Signals are read only while updates run.");
  const isUnread = (one) => database.state === "held" && one.is_stale && !one.is_closed;
  const order = [...database.signals].sort(
    // By pressure, but not so finely that they change places at each look.
    (a, b) => TONES.indexOf(tone(a)) - TONES.indexOf(tone(b)) || a.name.localeCompare(b.name),
  );
  const isRead = (one) => (one.value !== null || one.is_closed) && !isUnread(one);
  return [
    h("h3", null, "Signals", h("small", null, "the bar is the smoothed pressure, the mark its threshold")),
    h("ul", { class: "plain signals" }, order.filter(isRead).map(signal)),
    unread(order.filter((one) => !isRead(one)).map((one) => (isUnread(one) ? { ...one, problem: "not read while it is held" } : one))),
  ];
}

function signal(one) {
  return h(
    "li",
    { key: one.name, class: tone(one) },
    h("div", { class: "which" }, theirs(one.name, "name"), h("small", null, CLASSES[one.class] ?? escaped(one.class))),
    h(
      "div",
      { class: "reading" },
      h("strong", null, quantity(one.value, one.unit)),
      h("small", null, `threshold ${quantity(one.threshold, one.unit)}`),
    ),
    one.value !== null && gauge(one.pressure),
    one.value !== null && h("div", { class: "pressure" }, unseen("pressure "), percent(one.pressure)),
    notes(one),
  );
}

function notes(one) {
  const found = [
    one.is_closed && h("span", { class: "tag bad" }, "closed: holds updates"),
    one.is_stale && h("span", { class: "tag mild" }, `stale, ${duration(one.age_s)} old`),
    one.problem && h("span", { class: "quiet" }, theirs(one.problem)),
  ].filter(Boolean);
  return found.length > 0 && h("div", { class: "notes" }, found);
}

// Most of them, on many a server: that they say nothing is worth a line, not one for each.
function unread(some) {
  const by = new Map();
  for (const one of some) by.set(one.problem, [...(by.get(one.problem) ?? []), one]);
  return [...by].map(([problem, group]) =>
    h(
      "p",
      { class: "quiet small", key: problem },
      problem ? theirs(problem) : "no reading yet",
      ": ",
      group.map((one, at) => [at > 0 && ", ", theirs(one.name)]),
    ),
  );
}

function tone(one) {
  if (one.is_closed) return "over";
  if (one.is_stale) return "under";
  if (one.pressure >= 1) return "over";
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
