// What is made of one status after another: charts, and what is worth saying aloud.
import assert from "node:assert/strict";
import test from "node:test";

import { announcements, marks, summary } from "./page/changes.js";
import { current, queue } from "./page/queue.js";
import { signals } from "./page/signals.js";
import { Trace } from "./page/trace.js";
import { clock } from "./page/words.js";

const NOW = 1_767_571_260_000;

function update(more = {}) {
  return {
    name: "event_search", one_shot: false, since_ms: NOW - 60_000, batches: 10, batch_time_ms: 1000,
    last_batch_ms: 100, target_duration_ms: 80, batch_since_ms: null, duty_cycle_ratio: 0.2,
    time_left_s: { expected: 11_520, earliest: 9000, latest: 15_000, at_this_pace: 11_520, unthrottled: 100 },
    decision: { cause: "pace", is_hold: false, reason: "rests", since_ms: NOW }, ...more,
  };
}

function status(more = {}, database = {}) {
  const pending = ["event_search", "other"].map((name) => ({ name }));
  return {
    now_ms: NOW, problems: [], levers: [],
    databases: [{ name: "master", state: "waiting", pending, current: update(), ...database }], ...more,
  };
}

test("the first status is told in short", () => {
  assert.deepEqual(announcements(null, status()), ["2 updates are pending. The one under way needs 3h\u00a012m more."]);
  assert.equal(summary(status({}, { pending: [], current: null })), "Nothing is pending: safe to upgrade.");
  const problem = (kind) => summary(status({ problems: [{ kind }] }, { pending: [], current: null }));
  assert.equal(problem("paused"), "Nothing is pending.");
  assert.equal(problem("configuration"), "Nothing is pending: safe to upgrade.");
  assert.equal(summary(status({}, { pending: null })), "The queue of a database cannot be read.");
  assert.equal(summary(status({ databases: [] })), "The server shows no database.");
  assert.equal(summary(status({ enabled: false })), "2 updates are pending, and switched off.");
});

test("nothing new is nothing said", () => {
  assert.deepEqual(announcements(status(), status({ now_ms: NOW + 2000 }, { state: "running" })), []);
});

test("problems are told when they come and when they go, not while they last", () => {
  const problem = (message) => ({ problems: [{ kind: "held", database: "master", message, advice: "" }] });
  assert.deepEqual(announcements(status(), status(problem("held for 1h"))), ["Problem: held for 1h."]);
  assert.deepEqual(announcements(status(problem("held for 1h")), status(problem("held for 2h"))), []);
  assert.deepEqual(announcements(status(problem("held for 2h")), status()), ["1 problem is gone."]);
});

test("each pause is a problem of its own", () => {
  const pause = (message) => ({ kind: "paused", database: null, message, advice: "" });
  const before = status({ problems: [pause("a is paused")] });
  const after = status({ problems: [pause("a is paused"), pause("b is paused\u202e")] });
  assert.deepEqual(announcements(before, after), ["Problem: b is paused\\u{202e}."]);
});

test("updates that are done, and holds, are told", () => {
  assert.deepEqual(announcements(status(), status({}, { pending: [{ name: "other" }] })), ["event_search is done."]);
  const many = ["a", "b", "c", "d"].map((name) => ({ name }));
  assert.deepEqual(announcements(status({}, { pending: many }), status({}, { pending: [] })), ["4 updates of master are done."]);
  const held = { state: "held", current: update({ decision: { is_hold: true, reason: "a window" } }) };
  assert.deepEqual(announcements(status(), status({}, held)), ["master is held: a window."]);
  assert.deepEqual(announcements(status({}, held), status()), ["master goes on."]);
  assert.deepEqual(announcements(status({ databases: [] }), status()), []);
});

test("what was learned of an update is told, a line each; an older server tells none", () => {
  const text = (one) => (typeof one === "object" ? one.children.map(text).join("") : String(one));
  const lines = (learned) =>
    current({ name: "master", current: update({ progress: null, index_build: null, limits: "", learned }) }, status(), () => {})
      .children.map(text).filter((line) => line.startsWith("Learned: "));
  assert.deepEqual(lines(["a", "b"]), ["Learned: a", "Learned: b"]);
  assert.deepEqual(lines(undefined), []);
});

test("after a failure the time of the next try is told, by the browser's clock", () => {
  const text = (one) => (typeof one === "object" ? one.children.map(text).join("") : String(one));
  const reason = "failed once: next try after 1m";
  const decision = { cause: "backoff", is_hold: true, reason, since_ms: NOW - 15_000, next_try_ms: NOW + 45_000 };
  const database = { name: "master", state: "held", pending: [], current: update({ decision, progress: null, index_build: null, limits: "" }) };
  const shown = text(current(database, status(), () => {}));
  assert.ok(shown.includes(`Held: ${reason} (${clock(NOW + 45_000, NOW)})Since ${clock(NOW - 15_000, NOW)}, 15s ago.`), shown);
  const paced = { ...database, current: { ...database.current, decision: { ...decision, next_try_ms: null } } };
  assert.ok(text(current(paced, status(), () => {})).includes(`Held: ${reason}Since`));
});

test("why it is no faster is told in the command's words", () => {
  const text = (one) => (typeof one === "object" ? one.children.map(text).join("") : String(one));
  const told = (more) => {
    const found = update({ progress: null, index_build: null, limits: "", ...more });
    return text(current({ name: "master", state: "running", pending: [], current: found }, status(), () => {}));
  };
  const decision = { cause: "pace", is_hold: false, reason: "resting 79ms", since_ms: NOW, next_try_ms: null };
  assert.ok(told({ decision }).includes("Throttled: resting 79ms"));
  assert.ok(told({ decision: { ...decision, cause: "run" } }).includes("Not throttled"));
  assert.ok(told({ is_in_batch: true, batch_since_ms: NOW - 2000 }).includes("In a batch for 2s"));
});

test("what a release lets go has a button for it, and comes first", () => {
  const find = (one) => typeof one !== "object" ? [] : one.tag === "button" ? [one.children[0]] : one.children.flatMap(find);
  const buttons = (cause) => {
    const decision = { cause, is_hold: true, reason: "x", since_ms: NOW, next_try_ms: null };
    const held = update({ decision, progress: null, index_build: null, limits: "" });
    return find(current({ name: "master", state: "held", pending: [], current: held }, status(), () => {}));
  };
  assert.deepEqual(buttons("window"), ["Run now", "Pause", "Override"]);
  assert.deepEqual(buttons("approval"), ["Run now", "Pause", "Override"]);
  assert.deepEqual(buttons("backoff"), ["Pause", "Override", "Release"]);
});

test("signals that nobody reads now are no cause for worry", () => {
  const text = (one) => (typeof one === "object" ? [one].flat(Infinity).map((each) => each.children ? each.children.map(text).join(" ") : each).join(" ") : String(one));
  const old = { name: "pool_wait", class: "soft", unit: "ms", value: 3, threshold: 10, pressure: 0.2, age_s: 999, is_stale: true, is_closed: false, problem: "" };
  assert.equal(text(signals({ state: "idle", signals: [old] })), "Signals are read only while updates run.");
  const held = signals({ state: "held", signals: [old] }).map(text).join(" ");
  assert.ok(held.includes("not read while it is held") && !held.includes("stale"), held);
  assert.ok(signals({ state: "waiting", signals: [old] }).map(text).join(" ").includes("stale"));
});

test("what resumes an update ends the pause as it was pulled, and of several the one that ends last", () => {
  const find = (one, text) =>
    typeof one !== "object" ? [] : one.tag === "button" && one.children[0] === text ? [one] : one.children.flatMap((child) => find(child, text));
  const opened = (text, levers) => {
    const name = "event_search";
    const decision = { cause: "paused", is_hold: true, reason: "paused", since_ms: NOW, next_try_ms: null };
    const at = update({ name, decision, progress: null, index_build: null, limits: "" });
    const row = { name, paused: true, is_reachable: true, depends_on: null, waits_for: null, started_ms: null, progress: null };
    const told = [];
    const open = (...asked) => told.push(asked);
    const parts = [
      current({ name: "master", state: "held", pending: [row], current: at }, status({ levers }), open),
      ...queue({ name: "master", state: "held", pending: [row], current: null }, status({ levers }), {}, open),
    ];
    const buttons = parts.flatMap((one) => find(one, text));
    assert.equal(buttons.length, 2, text);
    for (const one of buttons) one.attributes.onclick();
    assert.deepEqual(told[0], told[1]);
    return told[0];
  };
  const pause = (glob, database, ends_ms) => ({ kind: "pause", update: glob, database, ends_ms });
  const others = [pause("*", "second", NOW + 9), pause("event_search?", null, NOW + 9), { ...pause("*", null, NOW + 9), kind: "override" }];
  const levers = [pause("event_search", "master", NOW + 1), pause("event_*", null, NOW + 3), pause("*", "master", NOW + 2), ...others];
  assert.deepEqual(opened("Resume", levers), ["resume", { update: "event_*", database: null }]);
  assert.deepEqual(opened("Resume", levers.slice(0, 1)), ["resume", { update: "event_search", database: "master" }]);
  assert.deepEqual(opened("Pause", others), ["pause", { update: "event_search", database: "master" }]);
});

test("between two looks the mean batch and the share at work are shown", () => {
  const trace = new Trace();
  trace.add(NOW, { current: update() });
  trace.add(NOW + 2000, { current: update({ batches: 14, batch_time_ms: 1400, last_batch_ms: 7 }) });
  trace.add(NOW + 4000, { current: update({ batches: 14, batch_time_ms: 1400, last_batch_ms: 7, batch_since_ms: NOW + 3000 }) });
  const [seconds, batch, worked, allowed] = trace.columns("batchMs", "worked", "allowed");
  assert.deepEqual(seconds, [NOW / 1000, NOW / 1000 + 2, NOW / 1000 + 4]);
  assert.deepEqual(batch, [100, 100, 7]);
  assert.deepEqual(worked, [null, 0.2, 0.5]);
  assert.deepEqual(allowed, [0.2, 0.2, 0.2]);
});

test("another update, a silence and an old answer draw no line", () => {
  const trace = new Trace();
  trace.add(NOW, { current: update() });
  trace.add(NOW, { current: update({ last_batch_ms: 1 }) });
  trace.add(NOW - 500, { current: update() });
  assert.equal(trace.columns("batchMs")[0].length, 1);
  trace.add(NOW + 2000, { current: update({ name: "other", batch_time_ms: 1 }) });
  assert.equal(trace.last.worked, null);
  trace.add(NOW + 100_000, { current: update({ name: "other", batch_time_ms: 2 }) });
  assert.deepEqual(trace.columns("batchMs")[1], [100, 100, null, 100]);
  trace.add(NOW + 102_000, { current: null });
  assert.equal(trace.last.batchMs, undefined);
});

test("what is kept does not grow", () => {
  const trace = new Trace();
  for (let n = 0; n < 2000; n += 1) trace.add(NOW + n * 2000, { current: update() });
  assert.ok(trace.columns("batchMs")[0].length <= 451);
  trace.add(NOW - 86_400_000, { current: update() }); // the clock was set back
  assert.equal(trace.columns("batchMs")[0].length, 1);
});

test("the journal is asked for anew when an update ends and when a lever is pulled", () => {
  assert.equal(marks(status()), marks(status({ now_ms: NOW + 1 }, { state: "held", current: update({ batches: 11 }) })));
  assert.notEqual(marks(status()), marks(status({}, { pending: [] })));
  assert.notEqual(marks(status()), marks(status({ levers: [{ id: "a" }] })));
  assert.notEqual(marks(null), marks(status()));
});
