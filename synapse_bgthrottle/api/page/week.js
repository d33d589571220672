// When the update under way may run: its windows on a week, in the time zone of its rule.

import { h, theirs } from "./dom.js";
import { isOpenAt, openMinutes, weekTime } from "./windows.js";

const NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MINUTES = 1440;
const ROW = 22;
const BAR = 16;

/** Whether there is more to be drawn of it than a line of text. */
export function hasWeek(limits) {
  return limits !== null && limits.limit_values.windows.length > 0;
}

/**
 * @param limits the answer of `explain` for the update; null: not known yet
 */
export function week(limits, nowMs) {
  if (limits === null) return null;
  const { windows, time_zone: zone } = limits.limit_values;
  const text = limits.limits.windows;
  const now = weekTime(nowMs, zone);
  if (windows.length === 0) {
    return [heading(zone), h("p", { class: "quiet" }, "Always open: it has no windows.")];
  }
  if (now === null) {
    return [heading(zone), h("p", null, "Windows: ", theirs(text))];
  }
  const minutes = openMinutes(windows);
  const open = isOpenAt(minutes, now);
  return [
    heading(zone),
    h(
      "p",
      null,
      h("span", { class: open ? "tag good" : "tag mild" }, open ? "open now" : "closed now"),
      " ",
      theirs(text),
    ),
    h("div", { class: "week" }, days(minutes, now), hours()),
  ];
}

function heading(zone) {
  return h("h3", null, "Windows", h("small", null, theirs(zone)));
}

// What it shows is in the text above it, in fewer words than a table of it has.
function days(minutes, now) {
  return h(
    "div",
    { class: "days", "aria-hidden": "true" },
    NAMES.map((name, day) =>
      h(
        "div",
        { class: day === now.day ? "day today" : "day", key: name },
        h("span", null, name),
        h(
          "svg",
          { viewBox: `0 0 ${DAY_MINUTES} ${ROW}`, preserveAspectRatio: "none" },
          h("rect", { class: "rail", y: (ROW - BAR) / 2, width: DAY_MINUTES, height: BAR }),
          minutes[day].map(([start, end]) =>
            h("rect", { class: "fill", x: start, y: (ROW - BAR) / 2, width: end - start, height: BAR, key: start }),
          ),
          [6, 12, 18].map((hour) =>
            h("line", { class: "tick", key: `h${hour}`, x1: hour * 60, x2: hour * 60, y1: (ROW - BAR) / 2, y2: (ROW + BAR) / 2 }),
          ),
          day === now.day &&
            h("line", { class: "now", key: "now", x1: now.minute, x2: now.minute, y1: 0, y2: ROW }),
        ),
      ),
    ),
  );
}

function hours() {
  return h(
    "div",
    { class: "hours", "aria-hidden": "true" },
    ["00", "06", "12", "18", "24"].map((hour) => h("span", { key: hour }, hour)),
  );
}
