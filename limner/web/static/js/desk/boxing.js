// The dialog in which boxes are drawn on a picture: by dragging, or by keys.

import { $$, h } from "../page/dom.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.boxing;
const LEAST = 0.02;
const STEP = 0.01;
const NEW = [0.375, 0.375, 0.25, 0.25];
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

/**
 * Opens it over a picture (an address, or null for an empty sheet) with boxes `[{box, from}]`, each
 * `[left, top, width, height]` in shares. Resolves to such a list, `from` missing in new ones, or to
 * null when it was left.
 */
export function drawBoxes({ title, note, boxes, most, data, width, height }) {
  return new Promise((resolve) => {
    let result = null;
    const paper = h("div", { class: "paper boxing", style: { "--ratio": width / height }, role: "group", "aria-label": T.paper }, data && h("img", { src: data, alt: "" }));
    const there = () => $$(".box", paper);
    const add = (box, from = null) => {
      if (there().length >= most) return null;
      const node = makeBox(box, from);
      paper.append(node);
      name(paper);
      return node;
    };
    boxes.forEach(({ box, from }) => add(box, from));
    listen(paper, add);
    const button = (text, act, more = {}) => h("button", { onclick: act, ...more }, text);
    const shut = h("dialog", { class: "mask", "aria-label": title }, h("p", { class: "note" }, note, " ", h("span", { class: "by-keys" }, T.byKeys)), paper,
      h("div", { class: "tools" }, button(T.add, () => add(NEW)?.focus(), { id: "box-add" }), button(T.clear, () => there().forEach((node) => node.remove())),
        button(T.leave, () => shut.close()),
        button(T.done, () => {
          result = there().map(({ box, from }) => ({ box, ...(from !== null && { from }) }));
          shut.close();
        }, { class: "primary", id: "boxes-done" })));
    shut.addEventListener("close", () => {
      shut.remove();
      resolve(result);
    });
    document.body.append(shut);
    shut.showModal();
  });
}

function makeBox(box, from) {
  const node = h("button", { class: "box" }, h("span", {}), h("i", { class: "corner" }));
  node.from = from;
  put(node, box);
  return node;
}

const share = (value) => Math.round(100 * value) / 100;
const within = (value, low, high) => Math.min(high, Math.max(low, share(value)));

/** Places a box; what would lie outside of the picture does not. */
function put(node, [left, top, width, height]) {
  const [w, t] = [within(width, LEAST, 1), within(height, LEAST, 1)];
  node.box = [within(left, 0, 1 - w), within(top, 0, 1 - t), w, t].map(share);
  ["left", "top", "width", "height"].forEach((side, i) => node.style.setProperty(side, `${100 * node.box[i]}%`));
}

function name(paper) {
  $$(".box", paper).forEach((node, i) => {
    node.firstChild.textContent = i + 1;
    node.setAttribute("aria-label", T.part(i + 1, node.box.map((value) => Math.round(100 * value))));
  });
}

/** The box that two corners span. */
const spanned = ([ax, ay], [bx, by]) => [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)];

function listen(paper, add) {
  let held = null; // what is dragged: `{node, at, box, how}`
  const at = (event) => {
    const edge = paper.getBoundingClientRect();
    return [within((event.clientX - edge.left) / edge.width, 0, 1), within((event.clientY - edge.top) / edge.height, 0, 1)];
  };
  const drag = {
    new: ({ node, at: from }, to) => put(node, spanned(from, to)),
    move: ({ node, at: [x, y], box: [left, top, w, t] }, to) => put(node, [left + to[0] - x, top + to[1] - y, w, t]),
    size: ({ node, box: [left, top] }, to) => put(node, [left, top, Math.min(1 - left, to[0] - left), Math.min(1 - top, to[1] - top)]),
  };
  paper.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    paper.setPointerCapture(event.pointerId);
    const there = event.target.closest(".box");
    const node = there ?? add([...at(event), LEAST, LEAST]);
    if (!node) return;
    node.focus();
    held = { node, at: at(event), box: node.box, moved: false, how: !there ? "new" : event.target.matches(".corner") ? "size" : "move" };
  });
  paper.addEventListener("pointermove", (event) => {
    if (!held) return;
    held.moved = true;
    drag[held.how](held, at(event));
    name(paper);
  });
  for (const type of ["pointerup", "pointercancel"]) paper.addEventListener(type, () => {
    // A press alone draws nothing.
    if (held?.how === "new" && !held.moved) held.node.remove();
    held = null;
    name(paper);
  });
  paper.addEventListener("keydown", (event) => pressed(event, paper));
}

function pressed(event, paper) {
  const node = event.target.closest(".box");
  const step = ARROWS[event.key];
  if (!node || (!step && !["Delete", "Backspace"].includes(event.key))) return;
  event.preventDefault();
  event.stopPropagation();
  if (step) {
    const [left, top, width, height] = node.box;
    put(node, event.shiftKey ? [left, top, Math.min(1 - left, width + step[0]), Math.min(1 - top, height + step[1])] : [left + step[0], top + step[1], width, height]);
  } else {
    const next = node.nextElementSibling ?? node.previousElementSibling;
    node.remove();
    (next?.matches(".box") ? next : document.querySelector("#box-add")).focus();
  }
  name(paper);
}
