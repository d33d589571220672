// Weekly windows, as the API states them.
import assert from "node:assert/strict";
import test from "node:test";

import { isOpenAt, openMinutes, weekTime } from "./page/windows.js";

function window(days, start, end) {
  return { days: days.split(","), start_minutes: start * 60, end_minutes: end * 60 };
}

test("a window that crosses midnight belongs to the day on which it starts", () => {
  const week = openMinutes([window("sun", 22, 5)]);
  assert.deepEqual(week, [[[0, 300]], [], [], [], [], [], [[1320, 1440]]]);
  assert.ok(isOpenAt(week, { day: 0, minute: 299 }));
  assert.ok(!isOpenAt(week, { day: 0, minute: 300 }));
  assert.ok(!isOpenAt(week, { day: 6, minute: 1319 }));
});

test("windows that meet are one, and none is always", () => {
  const week = openMinutes([window("mon,sat", 1, 3), window("mon", 2, 4), window("mon", 4, 5), window("mon", 1.5, 2)]);
  assert.deepEqual(week[0], [[60, 300]]);
  assert.deepEqual(week[5], [[60, 180]]);
  assert.ok(openMinutes([]).every((day) => day[0][0] === 0 && day[0][1] === 1440));
  assert.deepEqual(openMinutes([window("tue", 12, 24)])[2], []);
});

test("the time of the week is that of the rule's zone", () => {
  const at = Date.UTC(2026, 0, 5, 23, 30); // a Monday
  assert.deepEqual(weekTime(at, "UTC"), { day: 0, minute: 1410 });
  assert.deepEqual(weekTime(at, "Europe/Berlin"), { day: 1, minute: 30 });
  assert.equal(weekTime(at, "Nowhere/AtAll"), null);
});
