// What can be asked for: its fields, the request that they make, and that request in sentences. Pure.

import { counted, escaped, matches } from "./words.js";

const BEHIND = "Updates behind them in the queue wait too.";

export const ACTIONS = {
  pause: {
    title: "Pause",
    does: "No batch begins until the pause ends. All updates behind them in the queue wait too.",
    verb: "Pause",
    fields: ["for", "reason"],
  },
  resume: {
    title: "Resume",
    does: "Ends pauses. Whatever else holds an update still does.",
    verb: "End the pauses of",
    fields: ["reason"],
  },
  release: {
    title: "Release",
    does: "Lets pending updates run once, although windows, approvals or most budgets hold them. It does not end a pause.",
    verb: "Let go once",
    fields: ["for", "reason"],
  },
  override: {
    title: "Override",
    does: "These settings count instead of the configuration's, until the override ends.",
    verb: "Set other limits for",
    fields: ["settings", "for", "reason"],
  },
  reset: {
    title: "Reset",
    does: "Ends overrides and releases; the configuration counts again.",
    verb: "End the overrides and releases of",
    fields: ["reason"],
  },
};

/** Synapse's own switch, which has no fields: the request, what it does, and what came of it. */
export const SWITCHES = {
  enable: {
    title: "Turn on",
    body: { enabled: true },
    says: [
      "Turn background updates on, in all databases.",
      "They go on where they were; those that Synapse gave up, or does not work on, are started. Pauses and rules hold as before.",
    ],
    done: "Background updates are on.",
  },
  disable: {
    title: "Turn off",
    body: { enabled: false },
    says: [
      "Turn background updates off, in all databases.",
      "It has no end, no reason and no author. A restart of Synapse turns them on again.",
      "A pause has an end, a reason and an author, and lasts over restarts.",
    ],
    done: "Background updates are off.",
  },
};

/** The settings of an override, each with what it takes: words to choose from, or a hint. */
export const SETTINGS = {
  profile: ["gentle", "balanced", "fast", "finish"],
  duty_cycle: "such as 5%, or adaptive",
  target_duration: "of a batch, such as 50ms",
  max_items_per_second: "such as 200, or off",
  max_batch_size: "such as 100, or off",
  min_batch_size: "such as 10",
  default_batch_size: "such as 100",
  min_duty_cycle: "such as 1%",
  max_duty_cycle: "such as 50%",
  sleep: "after each batch, such as 1s",
  max_hold: "such as 7d",
  windows: "always, or a JSON list",
  time_zone: "such as Europe/Berlin",
};

/**
 * The body of the request.
 *
 * @param values { update, database (null: all), for, reason, settings: [[key, text], ...] }
 */
export function bodyOf(action, values) {
  const { fields } = ACTIONS[action];
  const body = { update: values.update.trim() || "*", database: values.database };
  if (fields.includes("for") && values.for.trim()) body.for = values.for.trim();
  if (fields.includes("settings")) {
    const given = values.settings.filter(([, text]) => text.trim() !== "");
    body.settings = Object.fromEntries(given.map(([key, text]) => [key, valueOf(text.trim())]));
  }
  if (values.reason.trim()) body.reason = values.reason.trim();
  return body;
}

function valueOf(text) {
  if (/^\d{1,15}(\.\d{1,10})?$/.test(text)) return Number(text);
  if (/^[[{]/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      return text; // the server says what is wrong with it
    }
  }
  return text;
}

/** What stands in the way of asking, or null. The rest the server judges. */
export function missing(action, values) {
  if (action === "override" && values.settings.every(([, text]) => text.trim() === "")) {
    return "Give at least one setting a value.";
  }
  return null;
}

/** The request in sentences, for whoever is about to confirm it. */
export function sentences(action, body, status) {
  if (action in SWITCHES) return SWITCHES[action].says;
  const where = body.database === null ? "in all databases" : `in ${escaped(body.database)}`;
  const length = body.for === undefined ? "" : ` for ${escaped(body.for)}`;
  const what = body.update === "*" ? "all updates" : escaped(body.update);
  const said = [`${ACTIONS[action].verb} ${what} ${where}${length}.`];
  for (const [key, value] of Object.entries(body.settings ?? {})) {
    said.push(`${key}: ${escaped(typeof value === "string" ? value : JSON.stringify(value))}`);
  }
  const about = status.databases
    .filter((database) => body.database === null || body.database === database.name)
    .flatMap((database) => database.pending ?? [])
    .filter((one) => matches(body.update, one.name));
  const names = about.slice(0, 3).map((one) => escaped(one.name)).join(", ");
  const more = about.length > 3 ? ` and ${about.length - 3} more` : "";
  if (about.length) said.push(`That is about ${counted(about.length, "pending update")}: ${names}${more}.`);
  else said.push("No pending update has such a name now.");
  if (action === "pause" && about.length) said.push(BEHIND);
  return said;
}

/** Why nothing is known to have come of it. `isBeside`: it stands beside what was asked. */
export function failure(error, isBeside) {
  const problems = error.problems ?? [];
  const why = problems.length
    ? problems.map(({ path, message }) => escaped(`${path.join(".")}: ${message}`)).join("; ")
    : escaped(error.message);
  // An error of the page's own comes after the answer.
  if (error.mayBeDone ?? true) return `It is not known whether it was done, so look at what is in force. ${why}`;
  if (isBeside) return why;
  // What the server says of its own failure says whether anything has changed.
  return error.status >= 500 ? `It failed: ${why}` : `It was not done: ${why}`;
}

/** What came of it, for the live region and the line below the headline. */
export function outcome(action, answer) {
  if (action in SWITCHES) return SWITCHES[action].done;
  const { made, ended } = answer;
  const done = [];
  if (made.length) done.push(`${ACTIONS[action].title}: in force now`);
  if (ended.length) done.push(`${counted(ended.length, "lever")} ended`);
  const notes = (answer.notes ?? []).map((note) => ` ${escaped(note)}.`).join("");
  return `${done.join(", ") || "There was nothing to do"}.${notes}`;
}
