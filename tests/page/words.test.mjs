// Numbers, times and names as people read them.
import assert from "node:assert/strict";
import test from "node:test";

import * as words from "./page/words.js";

test("durations have two units at most, as the server writes them", () => {
  const expected = [
    ["0ms", 0], ["2.6ms", 0.0026], ["48ms", 0.048], ["999ms", 0.9994], ["1s", 1], ["9.9s", 9.94],
    ["59.4s", 59.4], ["59.9s", 59.94], ["1m", 59.96], ["1m 30s", 90], ["59m 59s", 3599], ["1h", 3600],
    ["1h", 3629], ["3h 12m", 11_520], ["23h 59m", 86_399], ["12d 3h", 1_047_600], ["0ms", -5], ["not known", null], ["not known", undefined], ["not known", NaN],
    ["not known", Infinity], ["not known", "12"],
  ];
  for (const [text, seconds] of expected) assert.equal(words.duration(seconds).replace("\u00a0", " "), text);
});

test("what is not done is never shown as done", () => {
  for (const [text, ratio] of [["0%", 0], ["0.4%", 0.004], ["66%", 0.66], ["99%", 0.99],
    ["99.9%", 0.99999], ["99.6%", 0.996], ["100%", 1], ["120%", 1.2], ["not known", null]]) {
    assert.equal(words.percent(ratio), text);
  }
});

test("a signal's value is shown in its unit", () => {
  for (const [text, value, unit] of [["10 GiB", 10 * 2 ** 30, "bytes"], ["1.5 KiB/s", 1536, "bytes/s"],
    ["1.25 times", 1.25, "times"], ["yes", 1, "yes or no"], ["no", 0, "yes or no"],
    ["12s", 12_000, "ms"], ["2.6ms", 2.6, "ms"], ["3", 3, "count"], ["1,234,567", 1_234_567, "of a later version"],
    ["not known", null, "ms"]]) {
    assert.equal(words.quantity(value, unit), text);
  }
});

test("a time of another day has its day", () => {
  const now = Date.UTC(2026, 0, 5, 12, 0, 0);
  for (const [text, ms] of [["11:59:30", now - 30_000], ["Tue 6 Jan, 12:00", now + 86_400_000],
    ["1 Feb 2026, 12:00", now + 27 * 86_400_000], ["not known", null]]) {
    assert.equal(words.clock(ms, now, "UTC").replace(/^(\w+), (\d)/, "$1 $2"), text);
  }
});

test("what nobody would see is shown by its number", () => {
  assert.equal(words.escaped("a\u202eb\u200bc\nd\u2028e\u0000"), "a\\u{202e}b\\u{200b}c\\u{a}d\\u{2028}e\\u{0}");
  assert.equal(words.escaped("\ud800"), "\\u{d800}");
  assert.equal(words.escaped("<b> שלום ü 😀"), "<b> שלום ü 😀");
  assert.equal(words.escaped(null), "null");
});

test("globs mean what Python's fnmatch means by them", () => {
  const expected = [
    [true, "*", "anything"], [true, "event_*", "event_search"], [false, "event_*", "an_event_x"],
    [true, "a?c", "abc"], [false, "a?c", "ac"], [true, "[ab]x", "bx"], [false, "[!ab]x", "bx"],
    [true, "[!ab]x", "cx"], [true, "a.b", "a.b"], [false, "a.b", "axb"], [true, "[", "["],
    [true, "[]]", "]"], [true, "a+(b)|c$", "a+(b)|c$"], [true, "[a-c]", "b"], [true, "*", "a\nb"],
    [false, "[z-a]", "b"], [true, "\\", "\\"], [true, "{1}", "{1}"],
  ];
  for (const [is, glob, name] of expected) assert.equal(words.matches(glob, name), is, `${glob} ${name}`);
});

test("the glob of a name means that name only", () => {
  for (const name of ["event_search", "a*b", "a?[b]", "[!x]", "*", "[[]", "<img src=x onerror=y>"]) {
    assert.ok(words.matches(words.globOf(name), name), name);
    assert.ok(!words.matches(words.globOf(name), `${name}x`), name);
  }
  assert.ok(!words.matches(words.globOf("a*"), "ab"));
});
