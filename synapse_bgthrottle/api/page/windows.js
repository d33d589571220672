// Weekly windows as the API writes them ("mon,tue 22:00 to 05:00; daily 01:00 to 03:00"). Pure.

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES = 1440;
const WINDOW = /^(daily|[a-z,]+) (\d\d):(\d\d) to (\d\d):(\d\d)$/;

/**
 * The windows: each with its days (0 is Monday) and minutes since midnight.
 * An empty list: always open. Null: it is written as this page does not know it.
 */
export function parseWindows(text) {
  if (text === "always") return [];
  const windows = text.split("; ").map(parseWindow);
  return windows.includes(null) ? null : windows;
}

function parseWindow(text) {
  const found = WINDOW.exec(text);
  if (found === null) return null;
  const days = found[1] === "daily" ? DAYS.map((_, day) => day) : daysOf(found[1]);
  if (days === null) return null;
  const [startHour, startMinute, endHour, endMinute] = found.slice(2).map(Number);
  return { days, start: startHour * 60 + startMinute, end: endHour * 60 + endMinute };
}

function daysOf(text) {
  const days = text.split(",").map((name) => DAYS.indexOf(name));
  return days.includes(-1) ? null : days;
}

/**
 * For each day of the week the minutes that are open, as [start, end) in order, none overlapping.
 * A window that crosses midnight belongs to the day on which it starts.
 */
export function openMinutes(windows) {
  const week = DAYS.map(() => []);
  if (windows.length === 0) return week.map(() => [[0, DAY_MINUTES]]);
  for (const { days, start, end } of windows) {
    for (const day of days) {
      if (start < end) week[day].push([start, end]);
      else {
        week[day].push([start, DAY_MINUTES]);
        if (end > 0) week[(day + 1) % 7].push([0, end]);
      }
    }
  }
  return week.map(merged);
}

function merged(spans) {
  const result = [];
  for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = result.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else result.push([start, end]);
  }
  return result;
}

/** Where in the week a moment is in a time zone; null: this browser does not know the zone. */
export function weekTime(ms, timeZone) {
  try {
    const parts = new Intl.DateTimeFormat("en-GB", {
      timeZone,
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    }).formatToParts(new Date(ms));
    const part = (type) => parts.find((one) => one.type === type).value;
    const day = DAYS.indexOf(part("weekday").toLowerCase());
    return { day, minute: Number(part("hour")) * 60 + Number(part("minute")) };
  } catch {
    return null;
  }
}

export function isOpenAt(week, { day, minute }) {
  return week[day].some(([start, end]) => start <= minute && minute < end);
}
