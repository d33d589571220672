// The page: signs in, asks every two seconds, and shows the answers.

import { Actions } from "./actions.js";
import { ApiError, whyOut } from "./api.js";
import { announcements, marks } from "./changes.js";
import { Charts } from "./charts.js";
import { h, render } from "./dom.js";
import { history, levers, uses } from "./journal.js";
import { connection, headline, problems } from "./overview.js";
import { Poll } from "./poll.js";
import { current, queue, title } from "./queue.js";
import { Session, kept } from "./session.js";
import { signals } from "./signals.js";
import { Trace } from "./trace.js";
import { hasWeek, week } from "./week.js";
import { escaped, zoneNote } from "./words.js";

const ANSWER_MS = 8000;
// With SHOWN_MS before it, a server that is frozen is seen within five seconds.
const PATIENCE_MS = 2500;

const part = (id) => document.getElementById(id);
const charts = new Charts();
const actions = new Actions(part("dialog"), pull, (outcome) => {
  if (session !== null) announce(outcome, true);
});
const poll = new Poll(
  ask,
  () => document.hidden,
  { set: (callback, ms) => setTimeout(callback, ms), clear: (timer) => clearTimeout(timer) },
);

// Of the administrator who is signed in; null: none is. Signing out leaves nothing.
let session = null;

async function ask() {
  const mine = session;
  let answered;
  const slow = setTimeout(() => {
    if (mine !== session) return;
    silent(new ApiError("unreachable", "The server does not answer."));
    draw();
  }, PATIENCE_MS);
  try {
    const status = await mine.api.status();
    if (mine !== session) return true;
    take(status);
    answered = true;
    await mine.askMore();
  } catch (error) {
    if (mine !== session) return true;
    if (!(error instanceof ApiError)) throw error;
    if (error.kind === "unknown" || error.kind === "forbidden") {
      signOut(whyOut(error));
      return true;
    }
    if (!answered) silent(error);
    answered = error.retryMs || false;
  } finally {
    clearTimeout(slow);
  }
  if (mine === session) draw();
  return answered;
}

function take(status) {
  const said = announcements(session.status, status);
  if (session.silentSince !== null) said.unshift("The server answers again.");
  if (session.status === null) enter(status);
  const isNew = session.status !== null && marks(session.status) !== marks(status);
  if (isNew) session.journalDue = 3; // it takes a moment to be written
  session.silentSince = null;
  session.trouble = null;
  session.status = status;
  for (const database of status.databases) {
    if (!session.traces.has(database.name)) session.traces.set(database.name, new Trace());
    session.traces.get(database.name).add(status.now_ms, database);
  }
  if (said.length) announce(said.join(" "));
  draw();
}

function silent(error) {
  session.trouble = error;
  if (session.status === null) {
    part("sign-in").hidden = false;
    part("refusal").textContent = `${escaped(error.message)} The page tries again.`;
  }
  if (session.silentSince !== null) return;
  session.silentSince = Date.now();
  announce(error.kind === "absent" ? error.message : "The server does not answer.");
}

// Whatever came of it is shown at once: also what was done although the answer is lost.
async function pull(action, body) {
  const mine = session;
  try {
    return await mine.api.pull(action, body);
  } catch (error) {
    if (error.kind === "unknown" || error.kind === "forbidden") signOut(whyOut(error));
    throw error;
  } finally {
    if (mine === session) Object.assign(mine, { journalDue: 1 });
    poll.now();
  }
}

function enter(status) {
  session.keep();
  part("refusal").textContent = "";
  part("sign-in").hidden = true;
  part("board").hidden = false;
  part("sign-out").hidden = false;
  part("server-name").textContent = escaped(status.server_name);
  document.title = `Background updates of ${escaped(status.server_name)}`;
  part("board-title").focus();
}

function signOut(why) {
  poll.stop();
  session = null;
  kept.forget();
  actions.close();
  for (const id of ["connection", "headline", "problems", "databases", "levers", "history", "uses", "answer"]) {
    render(part(id));
  }
  charts.sweep();
  part("server-name").textContent = "";
  part("version").textContent = "";
  document.title = "Background updates";
  part("board").hidden = true;
  part("sign-out").hidden = true;
  part("sign-in").hidden = false;
  part("refusal").textContent = why;
  part("token").focus();
}

function draw() {
  const { status } = session;
  if (status === null) return;
  const focused = document.activeElement;
  const names = status.databases.map((one) => one.name);
  const nowMs = session.silentSince === null ? status.now_ms : Date.now();
  const seen = { ...session, nowMs };
  render(part("connection"), connection(seen));
  render(part("headline"), headline(status, session.history, open));
  render(part("problems"), problems(seen, names, open));
  render(part("databases"), status.databases.map(section));
  render(part("levers"), levers(status, open));
  const view = { unfolded: session.unfolded, fold };
  render(part("history"), history(session.history, status.now_ms, view));
  render(part("uses"), uses(session.uses, status.now_ms, view));
  part("version").textContent = `synapse-bgthrottle ${escaped(status.version)}. ${zoneNote()}`;
  part("board").classList.toggle("stale", session.silentSince !== null);
  charts.sweep();
  for (const name of names) charts.draw(name, session.traces.get(name));
  // Its button is gone, with what it ended: the keyboard goes on at the top, not nowhere.
  if (focused?.isConnected === false) part("board-title").focus({ preventScroll: true });
}

function section(database, at) {
  const { status } = session;
  const key = `queue ${database.name}`;
  const view = { isUnfolded: session.unfolded.has(key), fold: (unfold) => fold(key, unfold) };
  const id = `database-${at}`;
  const trace = session.traces.get(database.name);
  const limits = session.limits.get(database.name)?.limits ?? null;
  const parts = [signals(database), database.current !== null && week(limits, status.now_ms)];
  return h(
    "section",
    { class: "database", "aria-labelledby": id, key: database.name },
    title(database, id),
    current(database, status, open),
    database.current !== null && charts.figures(database.name, trace),
    h("div", { class: "part", key: "queue" }, queue(database, status, view, open)),
    h("div", { class: hasWeek(limits) ? "pair" : "pair wide" }, parts.map((part, key) => h("div", { class: "part", key }, part))),
  );
}

function fold(key, unfold) {
  if (unfold) session.unfolded.add(key);
  else session.unfolded.delete(key);
  draw();
}

function open(action, target) {
  actions.open(action, target, session.status);
}

// Said aloud by screen readers; what was done here is shown as well, for a while.
function announce(text, isShown = false) {
  part("news").textContent = text;
  if (!isShown) return;
  part("answer").textContent = text;
  setTimeout(() => {
    if (part("answer").textContent === text) part("answer").textContent = "";
  }, ANSWER_MS);
}

function signIn(token) {
  poll.stop();
  try {
    session = new Session(token);
  } catch (error) {
    part("refusal").textContent = error.message;
    return;
  }
  poll.start();
}

part("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = part("token").value.trim();
  part("token").value = "";
  part("refusal").textContent = "";
  signIn(token);
});
part("sign-out").addEventListener("click", () => signOut("You are signed out."));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) poll.now();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.sweep(true));

if (kept.token() !== null) {
  part("sign-in").hidden = true;
  signIn(kept.token());
}
