// A database: what runs, what it does, and what waits behind what.

import { FEW, foldButton, h, theirs, unseen } from "./dom.js";
import {
  UNKNOWN, clock, counted, duration, escaped, globOf, matches, milliseconds, number, percent, since,
} from "./words.js";

const ENGINES = { postgres: "PostgreSQL", sqlite: "SQLite", unknown: "" };
const TONES = {
  running: "good", waiting: "good", held: "mild", aborted: "bad", stopped: "bad", disabled: "mild",
};
// What a release lets go. A pause is resumed, and the rest ends by itself.
const RELEASABLE = new Set(["window", "calm", "approval", "budget"]);

/** Name, engine and state. */
export function title(database, id) {
  return h(
    "header",
    { class: "title" },
    h("h2", { id }, theirs(database.name), h("small", null, ENGINES[database.engine] ?? "")),
    h("p", { class: `pill ${TONES[database.state] ?? "calm"}` }, h("span", { class: "dot" }), database.state),
  );
}

/** The update under way. */
export function current(database, status, open) {
  const update = database.current;
  if (update === null) return null;
  const { progress, decision, time_left_s: left, index_build: build } = update;
  const nowMs = status.now_ms;
  const spent = update.batch_time_ms / Math.max(nowMs - update.since_ms, 1);
  const begun = update.batches || update.is_in_batch ? "Started" : "Its turn came";
  const fact = (name, value, more) =>
    h("div", { key: name }, h("dt", null, name), h("dd", null, known(value), more && h("small", null, more)));
  return h(
    "article",
    { class: "current" },
    h("h3", null, theirs(update.name, "name")),
    bar(progress?.ratio ?? build?.progress_ratio, update.name, "large"),
    h("p", { class: decision?.is_hold ? "reason held" : "reason" }, why(update, nowMs)),
    decision?.is_hold && h("p", { class: "quiet" }, `Since ${clock(decision.since_ms, nowMs)}, ${since(decision.since_ms, nowMs)} ago.`),
    build !== null && h("p", { class: "reason" }, "Index: ", theirs(build.phase)),
    h(
      "dl",
      { class: "facts" },
      fact("Time left", duration(left.expected ?? left.at_this_pace), range(left)),
      fact("Done", done(progress), amount(progress)),
      fact(begun, `${since(update.since_ms, nowMs)} ago`, counted(update.batches, "batch", "batches")),
      fact("Items per second", number(update.items_per_second), `${number(update.items)} in all`),
      fact("Last batch", milliseconds(update.last_batch_ms), !update.one_shot && `target ${milliseconds(update.target_duration_ms)}`),
      fact("Duty cycle so far", percent(Math.min(spent, 1)), update.duty_cycle_ratio !== null && `${percent(update.duty_cycle_ratio)} at most now`),
    ),
    h("p", { class: "quiet limits" }, "Limits: ", theirs(update.limits)),
    (update.learned ?? []).map((line) => h("p", { class: "quiet limits" }, "Learned: ", theirs(line))),
    h("p", { class: "buttons" }, buttons(update, database.name, status, open)),
  );
}

// In the words of the command.
function why({ decision, is_in_batch: isInBatch, batch_since_ms: batchMs }, nowMs) {
  if (decision?.is_hold) {
    const when = decision.next_try_ms !== null && ` (${clock(decision.next_try_ms, nowMs)})`;
    return ["Held: ", theirs(decision.reason || decision.cause), when];
  }
  if (isInBatch) return batchMs === null ? "In a batch" : `In a batch for ${since(batchMs, nowMs)}`;
  if (decision === null || decision.cause === "run") return "Not throttled";
  return ["Throttled: ", theirs(decision.reason || decision.cause)];
}

function range(left) {
  if (left.expected === null) return left.at_this_pace !== null && "once it goes on";
  return left.latest !== null && `${duration(left.earliest)} to ${duration(left.latest)}`;
}

function done(progress) {
  return progress === null ? UNKNOWN : percent(progress.ratio);
}

// What is not known is no figure, and does not look like one.
function known(value) {
  return value === UNKNOWN ? h("span", { class: "unknown" }, value) : value;
}

function amount(progress) {
  if (progress === null || progress.done === null || progress.total === null) return null;
  return [`${number(progress.done)} of ${number(progress.total)} `, theirs(progress.unit)];
}

// What pauses an update, or ends its pause. A pause is ended by its own words, not by a name that it
// matches; of several the one that ends last is the one that the reason of the hold names.
function pausing(name, database, status) {
  const [pause] = status.levers
    .filter((one) => one.kind === "pause" && [null, database].includes(one.database) && matches(one.update, name))
    .sort((one, other) => other.ends_ms - one.ends_ms);
  if (pause === undefined) return ["pause", "Pause", { update: globOf(name), database }];
  return ["resume", "Resume", { update: pause.update, database: pause.database }];
}

function buttons({ name, decision }, database, status, open) {
  const one = (action, text, target, className = null) =>
    h(
      "button",
      { type: "button", class: className, key: action, onclick: () => open(action, target) },
      text,
      unseen(" ", escaped(name)),
      "…",
    );
  const target = { update: globOf(name), database };
  const [action, text, paused] = pausing(name, database, status);
  if (decision?.is_hold && RELEASABLE.has(decision.cause)) {
    return [
      one("release", "Run now", target),
      one(action, text, paused, "lesser"),
      one("override", "Override", target, "lesser"),
    ];
  }
  return [
    one(action, text, paused),
    one("override", "Override", target, "lesser"),
    one("release", "Release", target, "lesser"),
  ];
}

function bar(ratio, name, className) {
  if (typeof ratio !== "number") return null;
  // A native element: every screen reader knows it. Its name is a text beside it.
  const value = Math.min(Math.max(ratio, 0), 1);
  const label = unseen("Progress of ", escaped(name));
  return h("label", { class: `progress ${className}` }, label, h("progress", { max: 1, value }));
}

/** All that is pending, in the order in which Synapse runs it. */
export function queue(database, status, view, open) {
  if (database.pending === null) {
    return h("p", { class: "reason held" }, "The queue cannot be read: ", theirs(database.queue_problem));
  }
  const waiting = database.pending.filter((one) => one.name !== database.current?.name);
  const unlisted = (database.pending_count ?? database.pending.length) - database.pending.length;
  const all = view.isUnfolded;
  const shown = all ? waiting : waiting.slice(0, FEW);
  if (waiting.length === 0) {
    return database.current === null ? null : h("p", { class: "quiet" }, "Nothing waits behind it.");
  }
  const heading = database.current === null ? "Pending" : "Waiting behind it";
  return [
    h("h3", null, heading, h("small", null, counted(waiting.length + unlisted, "update"))),
    h(
      "ol",
      { class: "plain queue" },
      shown.map((one) => row(one, database, status, open)),
    ),
    waiting.length > FEW && foldButton(all, `Show ${unlisted ? "the first" : "all"} ${waiting.length}`, view.fold),
  ];
}

function row(one, database, status, open) {
  const notes = [
    one.known === false && h("span", { class: "tag bad" }, "not known to this server: the queue stops here"),
    !one.is_reachable && h("span", { class: "tag bad" }, "never begins: they wait for each other"),
    one.paused && h("span", { class: "tag mild" }, "paused"),
    one.one_shot && h("span", { class: "tag calm" }, "one-shot"),
    one.started_ms !== null && h("span", { class: "quiet" }, `begun ${clock(one.started_ms, status.now_ms)}`),
  ];
  const ratio = one.progress?.ratio;
  return h(
    "li",
    { key: one.name },
    h(
      "div",
      { class: "what" },
      theirs(one.name, "name"),
      one.depends_on && h("span", { class: "quiet" }, "depends on ", theirs(one.depends_on, "name")),
      notes,
    ),
    typeof ratio === "number" && h("div", { class: "how-far" }, bar(ratio, one.name, "small"), percent(ratio)),
    h("div", { class: "buttons" }, more(one, database, status, open)),
  );
}

function more(one, database, status, open) {
  const [action, text, target] = pausing(one.name, database.name, status);
  const exact = { update: globOf(one.name), database: database.name };
  const name = unseen(" ", escaped(one.name));
  return [
    h("button", { type: "button", class: "lesser", onclick: () => open(action, target) }, text, name, "…"),
    h("button", { type: "button", class: "lesser", onclick: () => open("release", exact) }, "More", name, "…"),
  ];
}
