// The JSON API. The token leaves the page only in the Authorization header.

import { SWITCHES } from "./forms.js";
import { escaped } from "./words.js";

const TIMEOUT_MS = 15_000;
const ABSENT = "The server answers, but has nothing here: is this its main process, and is the module still configured?";
// What the server takes for a token at all; the browser refuses to send some of the rest.
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

/**
 * Why there is no answer.
 *
 * `kind` is `unreachable` (no answer, or one of another server), `absent` (the server answers, the
 * module does not), `unknown` (the token), `forbidden` (its owner), `busy` (ask again later) or
 * `refused` (what was asked for). `mayBeDone`: the server may have done it, for all that is known.
 */
export class ApiError extends Error {
  constructor(kind, message, { status = 0, problems = [], retryMs = 0, mayBeDone = false } = {}) {
    super(message);
    this.kind = kind;
    this.mayBeDone = mayBeDone;
    this.status = status;
    this.problems = problems;
    this.retryMs = retryMs;
  }
}

export class Api {
  #token;

  /** @throws {ApiError} this can be no token */
  constructor(token) {
    if (!TOKEN.test(token)) {
      throw new ApiError("unknown", "This is not an access token. A token has only ASCII characters, and no spaces.");
    }
    this.#token = token;
  }

  status() {
    return this.#call("GET", "status");
  }

  async history(limit) {
    return (await this.#call("GET", `history?limit=${limit}`)).history;
  }

  async uses(limit) {
    return (await this.#call("GET", `uses?limit=${limit}`)).uses;
  }

  explain(update, database, oneShot) {
    const query = new URLSearchParams({ update, database, one_shot: String(oneShot) });
    return this.#call("GET", `explain?${query}`);
  }

  /** Pull a lever, or turn Synapse's own switch. */
  pull(action, body) {
    return this.#call("POST", action in SWITCHES ? switchPath(document.baseURI) : action, body);
  }

  async #call(method, path, body) {
    let answer;
    try {
      answer = await fetch(new URL(path.startsWith("/") ? path : `v1/${path}`, document.baseURI), {
        method,
        headers: { Authorization: `Bearer ${this.#token}` },
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        referrerPolicy: "no-referrer",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw new ApiError("unreachable", "The server does not answer.", { mayBeDone: true });
    }
    let content;
    try {
      content = await answer.json();
    } catch {
      const { status } = answer;
      const mayBeDone = answer.ok || status >= 500; // an answer cut short, or a proxy that lost it
      throw new ApiError("unreachable", `The answer is not from Synapse (status ${status}): perhaps a proxy gave it.`, { status, mayBeDone });
    }
    if (answer.ok) return content;
    throw refusal(answer.status, content);
  }
}

/** Where Synapse's own switch is, beside the page: a proxy may show both below a path of its own. */
export function switchPath(pageAddress) {
  const [before, ...behind] = new URL(pageAddress).pathname.split("/_synapse/");
  return `${behind.length ? before : ""}/_synapse/admin/v1/background_updates/enabled`;
}

/** Why one is signed out, for people. */
export function whyOut(error) {
  const why = {
    unknown: "The server does not know this token (401)",
    forbidden: "This account may not use it (403)",
  }[error.kind];
  return `${why}: ${escaped(error.message)}`;
}

function refusal(status, content) {
  // What Synapse itself says where nothing is.
  if (status === 404 && content?.errcode === "M_UNRECOGNIZED") return new ApiError("absent", ABSENT, { status });
  const message = typeof content?.error === "string" ? content.error : `HTTP status ${status}`;
  const problems = Array.isArray(content?.problems) ? content.problems : [];
  const retryMs = Number(content?.retry_after_ms) || 0;
  const kind =
    { 401: "unknown", 403: "forbidden" }[status] ??
    (status >= 500 || retryMs ? "busy" : "refused");
  const isProxys = [502, 503, 504].includes(status) && content?.errcode === undefined;
  const mayBeDone = isProxys || content?.may_be_done === true;
  return new ApiError(kind, message, { status, problems, retryMs, mayBeDone });
}
