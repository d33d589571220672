// When the server is asked, and for what.
import assert from "node:assert/strict";
import test from "node:test";

import { Api, switchPath } from "./page/api.js";
import { ACTIONS, SWITCHES, bodyOf, failure, missing, outcome, sentences } from "./page/forms.js";
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
    "Updates behind them in the queue wait too.",
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
  assert.equal(outcome("pause", { made: [], ended: [] }), "There was nothing to do.");
});

test("what was refused was not done, and of what is lost it is not known", () => {
  const lost = { message: "The server does not answer.", mayBeDone: true, status: 0 };
  const notKnown = "It is not known whether it was done, so look at what is in force. The server does not answer.";
  for (const isBeside of [true, false]) assert.equal(failure(lost, isBeside), notKnown);
  assert.ok(failure(new TypeError("an error of the page's own"), false).startsWith("It is not known"));
  const problems = [{ path: ["settings", "profile"], message: "found 'x'" }];
  const refused = { message: "wrong", problems, mayBeDone: false, status: 400 };
  assert.equal(failure(refused, true), "settings.profile: found 'x'");
  assert.equal(failure(refused, false), "It was not done: settings.profile: found 'x'");
  const failed = { message: "nothing has changed", mayBeDone: false, status: 503 };
  assert.equal(failure(failed, false), "It failed: nothing has changed");
});

test("turning Synapse's own switch off warns, and names what is better", () => {
  assert.deepEqual(SWITCHES.disable.body, { enabled: false });
  const said = sentences("disable", SWITCHES.disable.body, STATUS).join(" ");
  for (const part of ["all databases", "no end", "restart", "A pause"]) assert.ok(said.includes(part), part);
  assert.equal(outcome("disable", { enabled: false }), "Background updates are off.");
  assert.deepEqual(SWITCHES.enable.body, { enabled: true });
  assert.ok(sentences("enable", SWITCHES.enable.body, STATUS)[0].startsWith("Turn background updates on"));
  assert.equal(outcome("enable", { enabled: true }), "Background updates are on.");
});

test("Synapse's own switch is where the page came from, be it below a proxy's path", () => {
  const path = "/_synapse/admin/v1/background_updates/enabled";
  assert.equal(switchPath("http://localhost:8008/_synapse/bgthrottle/"), path);
  assert.equal(switchPath("https://example.org/matrix/_synapse/bgthrottle/"), `/matrix${path}`);
  assert.equal(switchPath("http://localhost:8008/updates/"), path);
});

test("nobody, somebody else, and the server without the module are told apart", async (context) => {
  globalThis.document = { baseURI: "http://localhost:8008/_synapse/bgthrottle/" };
  const asked = [];
  const answers = [
    () => { throw new TypeError("refused"); },
    () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
    () => new Response('{"made": [', { status: 200 }),
    () => new Response("<h1>Too large</h1>", { status: 413 }),
    () => Response.json({ message: "upstream timed out" }, { status: 504 }),
    () => Response.json({ errcode: "M_UNKNOWN", error: "nothing has changed" }, { status: 503 }),
    () => Response.json({ errcode: "M_UNKNOWN", error: "it may still be done", may_be_done: true }, { status: 503 }),
    () => Response.json({ errcode: "M_UNRECOGNIZED", error: "Unrecognized request" }, { status: 404 }),
    () => Response.json({ errcode: "M_NOT_FOUND", error: "no such update" }, { status: 404 }),
    () => Response.json({ enabled: true }),
  ];
  context.mock.method(globalThis, "fetch", async (url) => { asked.push(url.pathname); return answers.shift()(); });
  const api = new Api("token");
  await assert.rejects(api.status(), { kind: "unreachable", status: 0, mayBeDone: true });
  await assert.rejects(api.status(), { kind: "unreachable", status: 502, mayBeDone: true });
  await assert.rejects(api.status(), { kind: "unreachable", status: 200, mayBeDone: true });
  await assert.rejects(api.status(), { kind: "unreachable", status: 413, mayBeDone: false });
  await assert.rejects(api.status(), { kind: "busy", status: 504, mayBeDone: true });
  await assert.rejects(api.status(), { kind: "busy", status: 503, mayBeDone: false });
  await assert.rejects(api.status(), { kind: "busy", status: 503, mayBeDone: true });
  await assert.rejects(api.status(), { kind: "absent", status: 404, mayBeDone: false });
  await assert.rejects(api.status(), { kind: "refused", status: 404, mayBeDone: false });
  await api.pull("enable", SWITCHES.enable.body);
  assert.deepEqual([...new Set(asked)], [
    "/_synapse/bgthrottle/v1/status", "/_synapse/admin/v1/background_updates/enabled",
  ]);
});
