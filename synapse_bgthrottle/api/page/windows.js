// Weekly windows as the API states them: days, and minutes since midnight. Pure.

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES = 1440;

/**
 * For each day of the week the minutes that are open, as [start, end) in order, none overlapping.
 * A window that crosses midnight belongs to the day on which it starts.
 */
export function openMinutes(windows) {
  const week = DAYS.map(() => []);
  if (windows.length === 0) return week.map(() => [[0, DAY_MINUTES]]);
  for (const { days, start_minutes: start, end_minutes: end } of windows) {
    for (const day of days.map((name) => DAYS.indexOf(name))) {
      if (start < end) week[day].push([start, end]);
      else {
        week[day].push([start, DAY_MINUTES]);
        week[(day + 1) % 7].push([0, end]);
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
