// The top of the page: whether all is well, and what is not.

import { summary } from "./changes.js";
import { h, theirs } from "./dom.js";
import { clock, escaped, since } from "./words.js";

const TITLES = {
  silence: "Out of date",
  store: "Levers cannot be kept",
  disabled: "Disabled",
  aborted: "Synapse gave up",
  stopped: "Synapse is not working on it",
  failing: "Failing",
  database: "No answer",
  unknown_update: "Unknown update",
  circle: "Never begins",
  configuration: "Configuration",
  held: "Held for long",
  stuck: "Stuck",
  paused: "Paused",
};
const MILD = new Set(["paused", "held", "configuration"]);
// What Synapse's own switch mends, when it is turned on.
const REMEDIES = { disabled: "Turn on background updates…", aborted: "Start them again…", stopped: "Start them…" };

/** Whether what is shown is true now. */
export function connection({ silentSince, nowMs }) {
  if (silentSince === null) {
    return h("p", { class: "pill good" }, h("span", { class: "dot" }), "Live");
  }
  return h("p", { class: "pill bad" }, h("span", { class: "dot" }), `No answer since ${clock(silentSince, nowMs)}`);
}

/** What is wrong, the worst first; or that nothing is. */
export function problems({ status, silentSince, trouble, nowMs }, databaseNames, open) {
  const all = [...status.problems];
  if (silentSince !== null) all.unshift(silence(trouble, clock(silentSince, nowMs)));
  return h(
    "section",
    { "aria-labelledby": "problems-title", class: all.length ? "problems" : "problems none" },
    h("h2", { id: "problems-title" }, "Problems"),
    all.length
      ? h("ul", { class: "plain" }, all.map((one) => problem(one, databaseNames, nowMs, open)))
      : h("p", null, "None."),
  );
}

function silence({ message }, since) {
  const advice = `The page shows how it was before ${since}. It keeps asking the server.`;
  return { kind: "silence", database: null, message, advice };
}

function seen(sinceMs, lastMs, nowMs) {
  const first = sinceMs ? `First seen ${clock(sinceMs, nowMs)}, ${since(sinceMs, nowMs)} ago. ` : "";
  return lastMs ? `${first}Last seen ${clock(lastMs, nowMs)}.` : first;
}

function problem({ kind, message, advice, database, since_ms: sinceMs, last_ms: lastMs }, databaseNames, nowMs, open) {
  const named = database !== null && databaseNames.length > 1;
  return h(
    "li",
    { class: MILD.has(kind) ? "problem mild" : "problem", key: `${kind} ${database} ${message}` },
    h("strong", null, TITLES[kind] ?? kind, named && [" in ", theirs(database)]),
    h("p", null, theirs(message)),
    (sinceMs || lastMs) && h("p", { class: "quiet" }, seen(sinceMs, lastMs, nowMs)),
    h("p", { class: "quiet" }, withCode(advice)),
    kind in REMEDIES &&
      h("p", { class: "buttons" }, h("button", { type: "button", onclick: () => open("enable") }, REMEDIES[kind])),
  );
}

// What stands in backticks is to be typed.
function withCode(text) {
  return text.split("`").map((part, at) => (at % 2 ? h("code", { key: at }, theirs(part)) : theirs(part)));
}

/** All in one line, and the buttons that are about everything. */
export function headline(status, history, open) {
  const pauses = status.levers.filter((lever) => lever.kind === "pause");
  return h(
    "section",
    { class: "headline", "aria-label": "In short" },
    h("div", null, h("p", { class: "summary" }, summary(status)), last(status, history)),
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", class: "lesser", onclick: () => open("pause", { update: "*" }) }, "Pause all…"),
      pauses.length > 0 &&
        h(
          "button",
          { type: "button", class: "lesser", onclick: () => open("resume", { update: "*" }) },
          "Resume all…",
        ),
      h(
        "button",
        { type: "button", class: "lesser", onclick: () => open("override", { update: "*" }) },
        "Override all…",
      ),
    ),
  );
}

// While nothing is pending, what ran last is what one wants to know.
function last({ databases, now_ms: nowMs }, history) {
  const ended = history?.find((one) => one.ended_ms !== null);
  if (ended === undefined || databases.some((one) => one.pending === null || one.pending.length)) return null;
  return h("p", { class: "quiet" }, "Last: ", theirs(ended.update), `, ${escaped(ended.outcome)} ${clock(ended.ended_ms, nowMs)}.`);
}
