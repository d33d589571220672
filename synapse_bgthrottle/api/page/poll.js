// When the server is asked: often while the page is seen, seldom while it is not, and more and
// more patiently while it does not answer. It knows no clock and no page: both are given.

export const SHOWN_MS = 2000;
export const HIDDEN_MS = 30_000;
const SLOWEST_MS = 15_000;

export class Poll {
  #ask;
  #isHidden;
  #timers;
  #timer = null;
  #running = false;
  #asking = false;
  #again = false;
  #failures = 0;

  /**
   * @param ask asks once; answers whether it was answered, or ms to wait before the next time
   * @param isHidden whether the page cannot be seen
   * @param timers { set(callback, ms), clear(timer) }
   */
  constructor(ask, isHidden, timers) {
    this.#ask = ask;
    this.#isHidden = isHidden;
    this.#timers = timers;
  }

  start() {
    this.#running = true;
    this.#failures = 0;
    return this.now();
  }

  stop() {
    this.#running = false;
    this.#timers.clear(this.#timer);
  }

  /** Ask without waiting: something was done, or the page is seen again. */
  async now() {
    if (!this.#running) return;
    if (this.#asking) {
      this.#again = true; // the answer under way may be older than what was done
      return;
    }
    this.#timers.clear(this.#timer);
    this.#asking = true;
    let answered = false;
    try {
      answered = await this.#ask();
    } finally {
      this.#asking = false;
      this.#failures = answered === true ? 0 : this.#failures + 1;
      this.#next(typeof answered === "number" ? answered : 0);
    }
  }

  #next(leastMs) {
    if (!this.#running) return;
    const again = this.#again && this.#failures === 0;
    this.#again = false;
    const usualMs = this.#isHidden() ? HIDDEN_MS : SHOWN_MS;
    const patientMs = Math.min(usualMs * 2 ** Math.max(this.#failures - 1, 0), SLOWEST_MS);
    const waitMs = again ? 0 : Math.max(this.#failures ? patientMs : usualMs, leastMs);
    this.#timer = this.#timers.set(() => this.now(), waitMs);
  }
}
