// What is worth saying aloud when one status follows another. Pure.

import { counted, duration, escaped } from "./words.js";

const STATES = {
  running: "goes on",
  waiting: "goes on",
  held: "is held",
  aborted: "has been given up by Synapse",
  stopped: "has updates that Synapse does not work on",
  disabled: "is disabled",
  idle: "has nothing left to do",
};

/** Sentences, mostly none. The first status after signing in has its own. */
export function announcements(before, after) {
  if (before === null) return [summary(after)];
  const said = [];
  for (const problem of after.problems) {
    const old = before.problems.some((one) => identity(one) === identity(problem));
    if (!old) said.push(`Problem: ${escaped(problem.message)}.`);
  }
  const gone = before.problems.filter(
    (problem) => !after.problems.some((one) => identity(one) === identity(problem)),
  );
  if (gone.length) said.push(`${counted(gone.length, "problem is", "problems are")} gone.`);
  for (const database of after.databases) {
    const old = before.databases.find((one) => one.name === database.name);
    if (old !== undefined) said.push(...ofDatabase(old, database));
  }
  return said;
}

// Not its message: that may tell how long it has lasted.
function identity(problem) {
  return problem.kind === "paused"
    ? `${problem.kind} ${problem.message}`
    : `${problem.kind} ${problem.database}`;
}

function* ofDatabase(before, after) {
  const name = escaped(after.name);
  if (before.pending !== null && after.pending !== null) {
    const left = new Set(after.pending.map((one) => one.name));
    const done = before.pending.filter((one) => !left.has(one.name));
    if (done.length > 3) yield `${counted(done.length, "update")} of ${name} are done.`;
    else for (const one of done) yield `${escaped(one.name)} is done.`;
  }
  if (STATES[before.state] !== STATES[after.state]) {
    const why = after.state === "held" ? `: ${escaped(after.current.decision.reason)}` : "";
    yield `${name} ${STATES[after.state] ?? after.state}${why}.`;
  }
}

/** What, when it changes, has left something in the journal. */
export function marks(status) {
  const names = status?.databases.map((one) => [one.name, one.current?.name, one.pending_count ?? one.pending?.length]);
  return JSON.stringify([names, status?.levers.map((one) => one.id)]);
}

// As `bgthrottle check` does: doubts about the configuration are no reason against it.
function isSafe(status) {
  return status.problems.every((one) => one.kind === "configuration");
}

/** The whole in one sentence. */
export function summary(status) {
  const pending = status.databases.map((one) => one.pending_count ?? one.pending?.length ?? 0);
  const count = pending.reduce((sum, one) => sum + one, 0);
  if (status.databases.length === 0) return "The server shows no database.";
  if (status.databases.some((one) => one.pending === null)) {
    return "The queue of a database cannot be read.";
  }
  if (count === 0) return isSafe(status) ? "Nothing is pending: safe to upgrade." : "Nothing is pending.";
  const what = counted(count, "update is", "updates are");
  if (status.enabled === false) return `${what} pending, and switched off.`;
  const current = status.databases.map((one) => one.current).filter((one) => one !== null);
  const left = current.map((one) => one.time_left_s.expected ?? one.time_left_s.at_this_pace).filter((one) => one !== null);
  if (left.length === 0) return `${what} pending.`;
  const who = current.length > 1 ? "Those under way need" : "The one under way needs";
  return `${what} pending. ${who} ${duration(Math.max(...left))} more.`;
}
