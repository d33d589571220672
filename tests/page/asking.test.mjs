// When the server is asked, and for what.
import assert from "node:assert/strict";
import test from "node:test";

import { ACTIONS, bodyOf, missing, outcome, sentences } from "./page/forms.js";
import { HIDDEN_MS, Poll, SHOWN_MS } from "./page/poll.js";

function world(answers) {
  const waits = [];
  let next = null;
  const timers = {
    set: (callback, ms) => { waits.push(ms); next = callback; return callback; },
    clear: (timer) => { if (next === timer) next = null; },
  };
  const state = { hidden: false, asked: 0 };
  const ask = async () => { state.asked += 1; return answers.length > 1 ? answers.shift() : answers[0]; };
  const poll = new Poll(ask, () => state.hidden, timers);
  return { poll, waits, state, tick: async () => next?.(), isWaiting: () => next !== null };
}

test("often while somebody looks, seldom while nobody does", async () => {
  const { poll, waits, state, tick } = world([true]);
  await poll.start();
  state.hidden = true;
  await tick();
  state.hidden = false;
  await tick();
  assert.deepEqual(waits, [SHOWN_MS, HIDDEN_MS, SHOWN_MS]);
});

test("more and more patiently while nobody answers, and as before afterwards", async () => {
  const { poll, waits, tick } = world([true, false, false, false, false, false, true]);
  await poll.start();
  for (let n = 0; n < 6; n += 1) await tick();
  assert.deepEqual(waits, [2000, 2000, 4000, 8000, 15_000, 15_000, 2000]);
});

test("not before the server says", async () => {
  const { poll, waits } = world([9000]);
  await poll.start();
  assert.deepEqual(waits, [9000]);
});

test("never after the end", async () => {
  const { poll, state, tick, isWaiting } = world([true]);
  await poll.start();
  poll.stop();
  assert.ok(!isWaiting());
  await tick();
  await poll.now();
  assert.equal(state.asked, 1);
});

test("what was done while it was asked is asked for again at once", async () => {
  const { poll, waits } = world([true]);
  const first = poll.start();
  await poll.now();
  await first;
  assert.deepEqual(waits, [0]);
});

test("an ask that fails altogether is followed by another", async () => {
  const waits = [];
  const timers = { set: (_, ms) => waits.push(ms), clear: () => {} };
  const poll = new Poll(() => Promise.reject(new Error("told to")), () => false, timers);
  await assert.rejects(poll.start());
  assert.deepEqual(waits, [2000]);
});

const VALUES = { update: " event_* ", database: null, for: "2h", reason: " why ", settings: [["profile", ""]] };
const STATUS = { databases: [{ name: "master", pending: [{ name: "event_search" }, { name: "other" }] }] };

test("each action sends what it has, and nothing else", () => {
  assert.deepEqual(bodyOf("pause", VALUES), { update: "event_*", database: null, for: "2h", reason: "why" });
  assert.deepEqual(bodyOf("resume", { ...VALUES, reason: "" }), { update: "event_*", database: null });
  assert.deepEqual(bodyOf("pause", { ...VALUES, update: "  ", for: "" }), { update: "*", database: null, reason: "why" });
  const settings = [["profile", " fast "], ["max_items_per_second", "200"], ["sleep", ""],
    ["windows", '[{"days": "mon"}]'], ["max_hold", "[x"]];
  assert.deepEqual(bodyOf("override", { ...VALUES, settings }).settings, {
    profile: "fast", max_items_per_second: 200, windows: [{ days: "mon" }], max_hold: "[x",
  });
});

test("an override needs a setting", () => {
  assert.ok(missing("override", VALUES));
  assert.equal(missing("override", { ...VALUES, settings: [["profile", "x"]] }), null);
  assert.equal(missing("pause", VALUES), null);
});

test("what is to be confirmed says what it is about", () => {
  assert.deepEqual(sentences("pause", bodyOf("pause", VALUES), STATUS), [
    "Pause event_* in all databases for 2h.",
    "That is about 1 pending update: event_search.",
    "What waits behind does not run either.",
  ]);
  assert.deepEqual(sentences("resume", { update: "\u202ex", database: "state" }, STATUS), [
    "End the pauses of \\u{202e}x in state.",
    "No pending update has such a name now.",
  ]);
  for (const action of Object.keys(ACTIONS)) {
    assert.ok(sentences(action, { update: "*", database: null }, STATUS)[0].includes("all updates"));
  }
});

test("what came of it is told", () => {
  assert.equal(outcome("pause", { made: [{}], ended: [] }), "Pause: in force now.");
  const notes = ["nothing pending matches x now"];
  const told = "Pause: in force now. nothing pending matches x now.";
  assert.equal(outcome("pause", { made: [{}], ended: [], notes }), told);
  assert.equal(outcome("resume", { made: [], ended: [{}, {}] }), "2 levers ended.");
  assert.equal(outcome("pause", { made: [], ended: [] }), "Nothing was to be done.");
});
