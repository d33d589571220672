// What the charts show: what was polled, kept for a while. Pure.

const LONGEST_MS = 15 * 60_000;
// After a longer silence (a hidden page, a server that was gone) a line would show what nobody saw.
const GAP_MS = 45_000;

/** The samples of one database. */
export class Trace {
  #samples = [];

  /** Take in one database of a status that was true at `nowMs`, on the server's clock. */
  add(nowMs, database) {
    const last = this.#samples.at(-1);
    if (last !== undefined && nowMs <= last.atMs) {
      if (nowMs > last.atMs - 60_000) return; // the same answer once more
      this.#samples = []; // its clock was set back
    }
    if (last !== undefined && nowMs - last.atMs > GAP_MS) {
      this.#samples.push({ atMs: last.atMs + 1 });
    }
    this.#samples.push(sample(nowMs, database.current, this.#samples.at(-1)));
    const oldest = nowMs - LONGEST_MS;
    this.#samples = this.#samples.filter((one) => one.atMs >= oldest);
  }

  /** Columns: seconds, then for each key its values, null where there is none. */
  columns(...keys) {
    const seconds = this.#samples.map((one) => one.atMs / 1000);
    return [seconds, ...keys.map((key) => this.#samples.map((one) => one[key] ?? null))];
  }

  get last() {
    return this.#samples.at(-1) ?? {};
  }
}

function sample(atMs, current, last) {
  if (current === null) return { atMs };
  // What is under way counts by now; it is stated for whole batches only.
  const underWayMs = current.batch_since_ms === null ? 0 : atMs - current.batch_since_ms;
  const now = {
    atMs,
    name: current.name,
    sinceMs: current.since_ms,
    batches: current.batches,
    batchTimeMs: current.batch_time_ms,
    workMs: current.batch_time_ms + underWayMs,
    targetMs: current.one_shot ? null : current.target_duration_ms,
    batchMs: current.last_batch_ms,
    allowed: current.duty_cycle_ratio,
    worked: null,
  };
  if (last?.name !== now.name || last.sinceMs !== now.sinceMs) return now;
  const batches = now.batches - last.batches;
  if (batches > 0) now.batchMs = (now.batchTimeMs - last.batchTimeMs) / batches;
  const share = (now.workMs - last.workMs) / (atMs - last.atMs);
  now.worked = Math.min(Math.max(share, 0), 1);
  return now;
}
