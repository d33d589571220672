// Weekly windows, as the API writes them.
import assert from "node:assert/strict";
import test from "node:test";

import { isOpenAt, openMinutes, parseWindows, weekTime } from "./page/windows.js";

test("windows are read as they are written", () => {
  assert.deepEqual(parseWindows("always"), []);
  assert.deepEqual(parseWindows("mon,sun 22:00 to 05:00; daily 00:00 to 24:00"), [
    { days: [0, 6], start: 1320, end: 300 },
    { days: [0, 1, 2, 3, 4, 5, 6], start: 0, end: 1440 },
  ]);
  for (const text of ["", "never", "mon", "xyz 01:00 to 02:00", "mon 1:00 to 02:00"]) {
    assert.equal(parseWindows(text), null, text);
  }
});

test("a window that crosses midnight belongs to the day on which it starts", () => {
  const week = openMinutes(parseWindows("sun 22:00 to 05:00"));
  assert.deepEqual(week, [[[0, 300]], [], [], [], [], [], [[1320, 1440]]]);
  assert.ok(isOpenAt(week, { day: 0, minute: 299 }));
  assert.ok(!isOpenAt(week, { day: 0, minute: 300 }));
  assert.ok(!isOpenAt(week, { day: 6, minute: 1319 }));
});

test("windows that meet are one, and none is always", () => {
  const week = openMinutes(parseWindows("mon 01:00 to 03:00; mon 02:00 to 04:00; mon 04:00 to 05:00; mon 01:30 to 02:00"));
  assert.deepEqual(week[0], [[60, 300]]);
  assert.ok(openMinutes([]).every((day) => day[0][0] === 0 && day[0][1] === 1440));
  assert.deepEqual(openMinutes(parseWindows("tue 12:00 to 00:00"))[2], []);
});

test("the time of the week is that of the rule's zone", () => {
  const at = Date.UTC(2026, 0, 5, 23, 30); // a Monday
  assert.deepEqual(weekTime(at, "UTC"), { day: 0, minute: 1410 });
  assert.deepEqual(weekTime(at, "Europe/Berlin"), { day: 1, minute: 30 });
  assert.equal(weekTime(at, "Nowhere/AtAll"), null);
});
