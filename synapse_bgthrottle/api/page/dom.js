// What is on the page, given as a tree and brought up to date in place: focus, selection and a
// screen reader's place stay where they are. Text becomes a text node, never markup; there is no
// way to give an element a style, an address or markup.

import { escaped } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "rect", "line", "text"]);
const REFUSED = new Set(["style", "href", "src", "srcdoc", "action", "formaction", "innerHTML"]);
const drawn = new WeakMap(); // by element: what was last drawn of it

/**
 * An element to be.
 *
 * @param props attributes; `onclick` and its like are listeners, `key` tells it from its siblings,
 *   `made` is called with the element when it is new, which then looks after its own inside
 * @param children elements, texts, and null or false for nothing; arrays of them
 */
export function h(tag, props, ...children) {
  const { key = null, made = null, ...attributes } = props ?? {};
  return { tag, key, made, attributes, children: flat(children) };
}

/** Text of the server: a name, a reason. It cannot turn around what stands beside it. */
export function theirs(text, className = null) {
  // Names alone in a line may be too long for it: better broken between their words than within one.
  const words = className === "name" ? escaped(text).split(/(?<=_)(?=[^_])/) : [escaped(text)];
  return h("bdi", { class: className }, words.map((word, at) => [at > 0 && h("wbr"), word]));
}

/** Text for screen readers only. */
export function unseen(...children) {
  return h("span", { class: "unseen" }, ...children);
}

/** So many of a long list are shown at first. */
export const FEW = 8;

/** The button that shows all of a long list, or its beginning again. */
export function foldButton(isUnfolded, showAll, fold) {
  return h(
    "button",
    { type: "button", class: "lesser", key: "fold", "aria-expanded": String(isUnfolded), onclick: () => fold(!isUnfolded) },
    isUnfolded ? "Show fewer" : showAll,
  );
}

/** Make the inside of an element what is given. */
export function render(parent, ...children) {
  const wanted = flat(children);
  const old = new Map();
  for (const node of [...parent.childNodes]) old.set(identity(drawn.get(node), old), node);
  const seen = new Map();
  const nodes = wanted.map((child) => {
    const id = identity(child, seen);
    seen.set(id, true);
    const node = old.get(id) ?? create(child);
    old.delete(id);
    return node;
  });
  for (const node of old.values()) node.remove();
  let place = parent.firstChild;
  nodes.forEach((node, at) => {
    // What is there already is not moved: moving takes the focus away.
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
    update(node, wanted[at]);
  });
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "object" ? child : String(child)));
}

// By key where it has one, else by kind; where that is taken, its number among them.
function identity(child, taken) {
  const kind = child === undefined ? "?" : typeof child === "string" ? "#" : child.tag;
  const base = `${kind} ${child?.key ?? ""}`;
  let count = 0;
  while (taken.has(`${base}/${count}`)) count += 1;
  return `${base}/${count}`;
}

function create(child) {
  if (typeof child === "string") return document.createTextNode(child);
  const node = SVG_TAGS.has(child.tag)
    ? document.createElementNS(SVG, child.tag)
    : document.createElement(child.tag);
  return node;
}

function update(node, child) {
  const before = drawn.get(node);
  drawn.set(node, child);
  if (typeof child === "string") {
    if (node.data !== child) node.data = child;
    return;
  }
  for (const name of Object.keys(before?.attributes ?? {})) {
    if (!(name in child.attributes)) set(node, name, null);
  }
  for (const [name, value] of Object.entries(child.attributes)) {
    if (before?.attributes[name] !== value) set(node, name, value);
  }
  if (child.made === null) render(node, ...child.children);
  else if (before === undefined) child.made(node);
}

function set(node, name, value) {
  if (REFUSED.has(name)) throw new Error(`no element gets ${name}`);
  if (name.startsWith("on")) node[name] = value;
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}
