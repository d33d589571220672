// All that is known while an administrator is signed in; and the token, which survives a reload of the tab.

import { Api } from "./api.js";

const TOKEN_KEY = "synapse-bgthrottle token";
const JOURNAL_MS = 30_000;
const LIMITS_MS = 60_000;
const JOURNAL_LINES = 30;

/** The token as this tab keeps it until it is closed. A browser may forbid that: then it is not kept. */
export const kept = {
  token: () => inStore((store) => store.getItem(TOKEN_KEY)),
  forget: () => inStore((store) => store.removeItem(TOKEN_KEY)),
};

function inStore(use) {
  try {
    return use(sessionStorage);
  } catch {
    return null;
  }
}

export class Session {
  status = null;
  silentSince = null;
  trouble = null;
  traces = new Map();
  limits = new Map(); // by database: the answer of `explain`, about what, and when
  history = null;
  uses = null;
  journalAt = -Infinity;
  journalDue = 0; // how many more times it is asked for at once
  unfolded = new Set();
  #token;

  /** @throws {ApiError} this can be no token */
  constructor(token) {
    this.api = new Api(token);
    this.#token = token;
  }

  /** The server knows the token: a reload need not ask for it. */
  keep() {
    inStore((store) => store.setItem(TOKEN_KEY, this.#token));
  }

  /** Ask for what changes seldom, seldom. */
  async askMore() {
    const now = performance.now();
    for (const { name, current: update } of this.status.databases) {
      const known = this.limits.get(name);
      const about = JSON.stringify([update?.name, this.status.levers.map((one) => one.id)]);
      if (update === null) this.limits.delete(name);
      else if (known?.about !== about || now - known.at > LIMITS_MS) {
        const limits = await this.api.explain(update.name, name, update.one_shot).catch(notForThis);
        this.limits.set(name, { about, at: now, limits });
      }
    }
    if (this.journalDue > 0 || now - this.journalAt > JOURNAL_MS) {
      this.journalDue = Math.max(this.journalDue - 1, 0);
      this.history = await this.api.history(JOURNAL_LINES);
      this.uses = await this.api.uses(JOURNAL_LINES);
      this.journalAt = now;
    }
  }
}

// A name that `explain` refuses (it may have anything in it) is no reason to show nothing.
function notForThis(error) {
  if (error.kind !== "refused") throw error;
  return null;
}
