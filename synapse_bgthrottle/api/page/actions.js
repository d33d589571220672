// The dialog in which levers are pulled: first what, then whether.

import { h, render } from "./dom.js";
import { ACTIONS, SETTINGS, SWITCHES, bodyOf, failure, missing, outcome, sentences } from "./forms.js";
import { escaped, globOf } from "./words.js";

const DURATIONS = ["30m", "2h", "12h", "24h", "3d", "7d"];

export class Actions {
  #dialog;
  #pull;
  #done;
  #status = null;
  #fields = {};
  #state = null;

  /**
   * @param dialog the element
   * @param pull asks the server: (action, body) to its answer
   * @param done gets what came of it
   */
  constructor(dialog, pull, done) {
    this.#dialog = dialog;
    this.#pull = pull;
    this.#done = done;
  }

  /** @param target { update, database } that the fields begin with; a switch has none */
  open(action, target, status) {
    this.#status = status;
    this.#state = {
      action,
      values: { for: "24h", reason: "", database: null, ...target, settings: [["profile", ""]] },
      body: SWITCHES[action]?.body ?? null, // what is to be confirmed
      problem: null,
      busy: false,
    };
    render(this.#dialog); // nothing of the last one is left in the fields
    this.#draw();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#first().focus();
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
    this.#state = null;
  }

  #draw() {
    const { body } = this.#state;
    render(this.#dialog, body === null ? this.#form() : this.#question());
  }

  #form() {
    const { action, values, problem } = this.#state;
    const { does, fields } = ACTIONS[action];
    return h(
      "form",
      { key: "form", novalidate: true, onsubmit: (event) => this.#review(event) },
      h("h2", { id: "dialog-title" }, "Change what runs"),
      problem !== null && h("p", { class: "refusal", role: "alert" }, problem),
      this.#select("action", "What", ACTIONS_BY_TITLE, action, does),
      this.#input("update", "Updates", values.update, "A name, or a glob such as event_*; * is all.", { maxlength: 1000, list: "updates" }),
      h("datalist", { id: "updates" }, this.#names().map((one) => h("option", { key: one }, one))),
      this.#select(
        "database",
        "Database",
        [["all", null], ...this.#status.databases.map((one) => [escaped(one.name), one.name])],
        values.database,
      ),
      fields.includes("settings") && this.#settings(),
      fields.includes("for") &&
        this.#input("for", "For", values.for, "From 1s to 30d. It ends by itself then.", { list: "durations" }),
      h("datalist", { id: "durations" }, DURATIONS.map((one) => h("option", null, one))),
      this.#input("reason", "Reason", values.reason, "Why, for other administrators.", { maxlength: 500 }),
      h(
        "p",
        { class: "buttons end" },
        h("button", { type: "button", class: "lesser", key: "cancel", onclick: () => this.close() }, "Cancel"),
        h("button", { type: "submit", key: "review" }, "Review"),
      ),
    );
  }

  #question() {
    const { action, body, busy, problem } = this.#state;
    const [first, ...rest] = sentences(action, body, this.#status);
    const lesser = (key, text, onclick) =>
      h("button", { type: "button", class: "lesser", disabled: busy, key, onclick }, text);
    return h(
      "form",
      { key: "question", onsubmit: (event) => this.#confirm(event) },
      h("h2", { id: "dialog-title" }, "Are you sure?"),
      problem !== null && h("p", { class: "refusal", role: "alert" }, problem),
      h("p", { class: "sentence" }, h("bdi", null, first)),
      rest.map((one, at) => h("p", { key: at }, h("bdi", null, one))),
      action in ACTIONS &&
        h("p", { class: "quiet" }, body.reason ? ["Reason: ", h("bdi", null, escaped(body.reason))] : "No reason given."),
      h(
        "p",
        { class: "buttons end" },
        action in ACTIONS ? lesser("back", "Back", () => this.#back(null)) : lesser("cancel", "Cancel", () => this.close()),
        action === "disable" && lesser("pause", "Pause instead…", () => this.open("pause", { update: "*" }, this.#status)),
        h("button", { type: "submit", disabled: busy, key: "confirm" }, `Yes, ${(ACTIONS[action] ?? SWITCHES[action]).title.toLowerCase()}`),
      ),
    );
  }

  #settings() {
    const { settings } = this.#state.values;
    const row = ([key, text], at) =>
      h(
        "div",
        { class: "setting", key: at },
        this.#select(`key${at}`, "Setting", Object.keys(SETTINGS).map((one) => [one, one]), key),
        this.#value(`value${at}`, key, text),
      );
    const add = () => {
      this.#read();
      const free = Object.keys(SETTINGS).find((key) => !settings.some(([taken]) => taken === key));
      this.#state.values.settings.push([free ?? "profile", ""]);
      this.#draw();
    };
    return h(
      "fieldset",
      { key: "settings" },
      h("legend", null, "Settings"),
      settings.map(row),
      h("button", { type: "button", class: "lesser", key: "add", onclick: add }, "One more setting"),
    );
  }

  #value(name, key, text) {
    const takes = SETTINGS[key];
    if (!Array.isArray(takes)) return this.#input(name, "Value", text, takes, {}, key);
    return this.#select(name, "Value", [["choose one", ""], ...takes.map((one) => [one, one])], text, null, key);
  }

  #names() {
    const pending = this.#status.databases.flatMap((one) => one.pending ?? []);
    return [...new Set(pending.map((one) => globOf(one.name)))].slice(0, 100);
  }

  #input(name, label, value, hint, attributes, key = null) {
    const made = (input) => {
      this.#fields[name] = input;
      input.value = value;
    };
    const id = `field-${name}`;
    return h(
      "div",
      { class: "field", key: `${name} ${key}` },
      h("label", { for: id }, label),
      h("input", { id, type: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-hint`, made, ...attributes }),
      h("p", { class: "hint", id: `${id}-hint` }, hint),
    );
  }

  // With another `key` it is another field, and begins anew.
  #select(name, label, options, value, hint = null, key = null) {
    const made = (select) => {
      this.#fields[name] = select;
      for (const [text, one] of options) select.add(new Option(text, one));
      select.selectedIndex = options.findIndex(([, one]) => one === value);
    };
    const id = `field-${name}`;
    const changed = () => {
      this.#read();
      this.#draw();
    };
    return h(
      "div",
      { class: "field", key: `${name} ${key}` },
      h("label", { for: id }, label),
      h("select", { id, "aria-describedby": hint && `${id}-hint`, onchange: changed, made }),
      hint !== null && h("p", { class: "hint", id: `${id}-hint` }, hint),
    );
  }

  #read() {
    const { values } = this.#state;
    const text = (name, otherwise) =>
      this.#fields[name]?.isConnected ? this.#fields[name].value : otherwise;
    this.#state.action = Object.keys(ACTIONS)[this.#fields.action.selectedIndex];
    const database = this.#fields.database.selectedIndex - 1;
    values.database = database < 0 ? null : this.#status.databases[database].name;
    for (const name of ["update", "for", "reason"]) values[name] = text(name, values[name]);
    values.settings = values.settings.map(([key, value], at) => {
      const chosen = text(`key${at}`, key);
      return [chosen, chosen === key ? text(`value${at}`, value) : ""];
    });
  }

  #review(event) {
    event.preventDefault();
    this.#read();
    const { action, values } = this.#state;
    this.#state.problem = missing(action, values);
    if (this.#state.problem === null) this.#state.body = bodyOf(action, values);
    this.#draw();
    this.#first().focus();
  }

  #back(problem) {
    const body = SWITCHES[this.#state.action]?.body ?? null;
    Object.assign(this.#state, { body, busy: false, problem });
    this.#draw();
    this.#first().focus();
  }

  async #confirm(event) {
    event.preventDefault();
    const state = this.#state;
    if (state.busy) return;
    state.busy = true;
    this.#draw();
    try {
      this.#done(outcome(state.action, await this.#pull(state.action, state.body)));
    } catch (error) {
      if (this.#state === state && this.#dialog.open) this.#back(failure(error, true));
      else this.#done(failure(error, false));
      return;
    }
    if (this.#state === state) this.close();
  }

  // Where the keyboard begins: with what is asked, or with its answer.
  #first() {
    const { action, body } = this.#state;
    if (body !== null) return this.#dialog.querySelector("button[type=submit]");
    return this.#fields[ACTIONS[action].fields.includes("settings") ? "value0" : "update"];
  }
}

const ACTIONS_BY_TITLE = Object.entries(ACTIONS).map(([action, { title }]) => [title, action]);
