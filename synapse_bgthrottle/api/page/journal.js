// Levers in force; what ran; who pulled what.

import { FEW, foldButton, h, theirs, unseen } from "./dom.js";
import { clock, counted, duration, escaped, number, percent } from "./words.js";

const KINDS = { pause: "Pause", override: "Override", release: "Release" };
const TONES = { pause: "mild", override: "calm", release: "good" };
const DID = {
  pause: "paused",
  resume: "resumed",
  release: "released",
  override: "overrode",
  reset: "reset",
  restart: "started again",
};
const OUTCOMES = {
  running: ["calm", "running"],
  done: ["good", "done"],
  aborted: ["bad", "aborted"],
  gone: ["mild", "gone"],
};

/** Pauses, overrides and releases, with their end, their author and their reason. */
export function levers(status, open) {
  return h(
    "section",
    { "aria-labelledby": "levers-title", class: "levers" },
    h("h2", { id: "levers-title" }, "In force"),
    status.levers.length
      ? h("ul", { class: "plain" }, status.levers.map((one) => lever(one, status.now_ms, open)))
      : h("p", { class: "quiet" }, "No pause, override or release."),
    ownSwitch(status.enabled, open),
  );
}

// Not a lever of the module's: it knows neither an end nor an author.
function ownSwitch(enabled, open) {
  const [action, text] = enabled ? ["disable", "Turn off"] : ["enable", "Turn on"];
  return h(
    "div",
    { class: "switch", key: "switch" },
    h("p", { class: "quiet" }, `Synapse’s own switch is ${enabled ? "on." : "off: no update runs, in no database."}`),
    h("button", { type: "button", class: "lesser", onclick: () => open(action) }, text, unseen(" background updates"), "…"),
  );
}

function lever(one, nowMs, open) {
  const end = one.kind === "pause" ? "resume" : "reset";
  const text = one.kind === "pause" ? "Resume" : "End";
  return h(
    "li",
    { key: one.id },
    h(
      "div",
      { class: "what" },
      h("span", { class: `tag ${TONES[one.kind]}` }, KINDS[one.kind] ?? escaped(one.kind)),
      " ",
      theirs(one.update, "name"),
      where(one.database),
      settings(one.settings),
    ),
    h("p", null, one.reason ? theirs(one.reason) : h("span", { class: "quiet" }, "no reason given")),
    h(
      "p",
      { class: "quiet" },
      `Until ${clock(one.ends_ms, nowMs)}, ${duration((one.ends_ms - nowMs) / 1000)} left.`,
      one.used_ms !== null && ` Used at ${clock(one.used_ms, nowMs)}.`,
    ),
    h("p", { class: "quiet" }, "By ", theirs(one.author), `, ${clock(one.created_ms, nowMs)}.`),
    h(
      "button",
      {
        type: "button",
        class: "lesser",
        onclick: () => open(end, { update: one.update, database: one.database }),
      },
      text,
      unseen(" ", KINDS[one.kind], " of ", escaped(one.update)),
      "…",
    ),
  );
}

function where(database) {
  return h("span", { class: "quiet" }, database === null ? "in all databases" : ["in ", theirs(database)]);
}

function settings(given) {
  return Object.entries(given).map(([key, value]) =>
    h("code", { key }, theirs(`${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)),
  );
}

/** Runs of updates, newest first. */
export function history(entries, nowMs, view) {
  return table(
    "history",
    "History",
    "Runs of updates, newest first",
    view,
    ["Update", "Outcome", "Began", "Took", "Items", "Batches", "Duty cycle"],
    entries?.map((one) => {
      const [tone, outcome] = OUTCOMES[one.outcome] ?? ["calm", escaped(one.outcome)];
      const tookMs = (one.ended_ms ?? nowMs) - one.started_ms;
      const failures = one.failures > 0 && [
        h("span", { class: "quiet" }, counted(one.failures, "failure")),
        one.last_failure && [" ", theirs(one.last_failure, "quiet")],
      ];
      return {
        key: `${one.database} ${one.update} ${one.started_ms}`,
        cells: [
          [theirs(one.update, "name"), one.database !== "master" && where(one.database)],
          [h("span", { class: `tag ${tone}` }, outcome), failures],
          clock(one.started_ms, nowMs),
          duration(tookMs / 1000),
          number(one.items),
          number(one.batches),
          percent(Math.min(one.batch_time_ms / Math.max(tookMs, 1), 1)),
        ],
      };
    }),
  );
}

/** Who did what, newest first. */
export function uses(entries, nowMs, view) {
  return table(
    "uses",
    "Who did what",
    "Levers pulled, newest first",
    view,
    ["When", "Who", "What", "Reason", "Until"],
    entries?.map((one, at) => ({
      key: `${one.at_ms} ${one.action} ${one.update} ${entries.length - at}`,
      cells: [
        clock(one.at_ms, nowMs),
        theirs(one.author),
        [`${DID[one.action] ?? escaped(one.action)} `, theirs(one.update, "name"), where(one.database), settings(one.settings)],
        one.reason ? theirs(one.reason) : "",
        one.ends_ms === null ? "" : clock(one.ends_ms, nowMs),
      ],
    })),
  );
}

// On a narrow screen the style sheet makes cards of the rows, which ends their being a table for
// screen readers, unless the roles are written out.
function table(id, title, caption, view, columns, rows) {
  const heading = h("h2", { id: `${id}-title` }, title);
  const section = (...children) =>
    h("section", { "aria-labelledby": `${id}-title`, class: "journal" }, heading, children);
  if (rows === undefined || rows === null) return section(h("p", { class: "quiet" }, "Not loaded yet."));
  if (rows.length === 0) return section(h("p", { class: "quiet" }, "Nothing yet."));
  const all = view.unfolded.has(id);
  return section(
    h(
      "table",
      { role: "table", class: id },
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((name) => h("th", { role: "columnheader", scope: "col" }, name)))),
      h(
        "tbody",
        { role: "rowgroup" },
        (all ? rows : rows.slice(0, FEW)).map(({ key, cells }) =>
          h("tr", { role: "row", key }, cells.map((cell, at) => h("td", { role: "cell", "data-label": columns[at] }, cell !== "" && h("div", null, cell)))),
        ),
      ),
    ),
    rows.length > FEW && foldButton(all, `Show all ${rows.length}`, (unfold) => view.fold(id, unfold)),
  );
}
