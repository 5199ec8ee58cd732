// Small helpers to find and to make elements.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element: attributes, `on…` listeners, `style` properties, children (nodes or text); a button submits nothing unless told. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (tag === "button") node.type = "button";
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Calls `fn` once things have been quiet for `ms`; the last call wins. */
export function debounce(fn, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => fn(...args), ms);
  };
}

/** A modal dialog with a heading; removed from the page when it closes. */
export function dialog(title, ...children) {
  const box = h("dialog", { "aria-label": title }, h("h2", {}, title), ...children);
  box.addEventListener("click", (event) => {
    if (event.target === box && !inside(box, event)) box.close();
  });
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

/** What stays in sight at the end of a dialog. */
export const foot = (...nodes) => h("div", { class: "dialog-foot" }, ...nodes);

/** A node under its name; the node's id is `id`. */
export const labelled = (id, name, node) => h("div", { class: "field" }, h("label", { for: id }, name), node);

/** The button of a dialog that closes it. */
export const closing = (text, more = {}) => h("button", { onclick: (event) => event.target.closest("dialog").close(), ...more }, text);

function inside(box, event) {
  const edge = box.getBoundingClientRect();
  return event.clientX >= edge.left && event.clientX <= edge.right
    && event.clientY >= edge.top && event.clientY <= edge.bottom;
}

/** Says `text` to a screen reader. */
export function announce(text) {
  $("#announce").textContent = text;
}

/** Saves a file of the page's own under `name`. */
export function saveFile(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
