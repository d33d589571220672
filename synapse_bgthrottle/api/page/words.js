// Numbers, times and names as people read them. Pure: what time it is, is an argument.

const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];
export const UNKNOWN = "not known";

/** What is invisible, or turns text around, is shown by its number. */
export function escaped(text) {
  return String(text).replace(UNSEEN, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
}

export function number(value) {
  if (!isNumber(value)) return UNKNOWN;
  const digits = Math.abs(value) < 10 ? 1 : 0;
  return new Intl.NumberFormat("en", { maximumFractionDigits: digits }).format(value);
}

export function percent(ratio) {
  if (!isNumber(ratio)) return UNKNOWN;
  const value = ratio * 100;
  // What is not done is never shown as done.
  if (value >= 99.95 && value < 100) return "99.9%";
  const digits = (value > 0 && value < 10) || (value > 99 && value < 100) ? 1 : 0;
  return `${value.toFixed(digits)}%`;
}

/** The two largest units, written as the server and the command do: `250ms`, `1.5s`, `3h 12m`. */
export function duration(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  if (seconds < 0.9995) return `${Number((Math.max(seconds, 0) * 1000).toPrecision(seconds < 0.01 ? 2 : 3))}ms`;
  if (seconds < 59.95) return `${Number(seconds.toFixed(1))}s`;
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  let rest = Math.round(seconds);
  const first = units.findIndex(([, size]) => rest >= size);
  const parts = units.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count ? `${count}${name}` : "";
  });
  return parts.filter(Boolean).join("\u00a0"); // not broken between its units
}

export function milliseconds(ms) {
  return isNumber(ms) ? duration(ms / 1000) : UNKNOWN;
}

export function size(bytes) {
  if (!isNumber(bytes)) return UNKNOWN;
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1023.95 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${number(value)} ${SIZES[unit]}`;
}

/** A signal's value in its unit, as the API names it. */
export function quantity(value, unit) {
  if (!isNumber(value)) return UNKNOWN;
  switch (unit) {
    case "ms":
      return milliseconds(value);
    case "bytes":
      return size(value);
    case "bytes/s":
      return `${size(value)}/s`;
    case "times":
      return `${value.toFixed(2)} times`;
    case "yes or no":
      return value ? "yes" : "no";
    default:
      return number(value);
  }
}

/** The time of day, with the day where that is another one. */
export function clock(ms, nowMs, timeZone = undefined) {
  if (!isNumber(ms)) return UNKNOWN;
  const format = (options, at) =>
    new Intl.DateTimeFormat("en-GB", { timeZone, ...options }).format(new Date(at));
  const time = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" }, ms);
  const day = { year: "numeric", month: "short", day: "numeric" };
  if (format(day, ms) === format(day, nowMs)) return time;
  const near = Math.abs(ms - nowMs) < 6 * 86_400_000;
  const date = format(near ? { weekday: "short", day: "numeric", month: "short" } : day, ms);
  return `${date}, ${time.slice(0, 5)}`;
}

/** Whose times these are: the server's own words have UTC, or the zone of its configuration. */
export function zoneNote() {
  const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return `Times are this browser's (${zone}), except where another zone is named.`;
}

/** How long ago, both by the server's clock. */
export function since(ms, nowMs) {
  return duration(Math.max((nowMs - ms) / 1000, 0));
}

export function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** The glob that means this update and no other. */
export function globOf(name) {
  return name.replace(/[*?[]/g, (one) => `[${one}]`);
}

/** Whether a glob as the server reads it (Python's fnmatch) means the name. */
export function matches(glob, name) {
  let pattern = "";
  for (let at = 0; at < glob.length; at += 1) {
    const one = glob[at];
    const end = one === "[" ? glob.indexOf("]", at + 2 + (glob[at + 1] === "!" ? 1 : 0)) : -1;
    if (one === "*") pattern += ".*";
    else if (one === "?") pattern += ".";
    else if (end > 0) {
      const inner = glob.slice(at + 1, end).replace(/[\\\]^[]/g, "\\$&");
      pattern += `[${inner.startsWith("!") ? `^${inner.slice(1)}` : inner}]`;
      at = end;
    } else pattern += one.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
  }
  try {
    return new RegExp(`^(?:${pattern})$`, "s").test(name);
  } catch {
    return false;
  }
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
