// Elements of the page. Whatever comes from a project goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

export function byId(id) {
  return document.getElementById(id);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** Make an HTML element; children that are no nodes become text. */
export function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Show or hide an element. */
export function show(element, visible) {
  element.hidden = !visible;
}

/** Tell readers of screens what happened. */
export function say(text) {
  byId("said").textContent = text;
}

/** Show a notice with buttons; returns it. One with the same key is replaced. */
export function notice(key, text, { warning = false, buttons = [], seconds = 0 } = {}) {
  dismiss(key);
  const box = el("div", { class: warning ? "notice warning" : "notice", dataset: { key } }, el("p", {}, text));
  const close = () => box.remove();
  const row = el("div", { class: "row" });
  for (const [label, action, main] of buttons) {
    row.append(el("button", { type: "button", class: main ? "main" : null, onclick: () => { close(); action?.(); } }, label));
  }
  if (!buttons.length) row.append(el("button", { type: "button", class: "quiet", onclick: close }, "Close"));
  box.append(row);
  byId("notices").append(box);
  if (seconds) setTimeout(close, seconds * 1000);
  return box;
}

export function dismiss(key) {
  for (const box of byId("notices").children) if (box.dataset.key === key) box.remove();
}

/** Hand a file to the person, under a name without anything that a file system minds. */
export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  const anchor = el("a", { href: url, download: name.replace(/[^\p{L}\p{N}._-]+/gu, "_") });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
