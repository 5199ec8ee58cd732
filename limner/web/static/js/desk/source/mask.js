// The mask's dialog: what is painted is drawn anew. It owns the page while it is open.

import { h } from "../../page/dom.js";
import { look } from "../../page/sprites.js";
import { TEXTS } from "../../texts.js";
import { makeControls } from "./masking.js";
import * as paint from "./painter.js";

const T = TEXTS.mask;
const C = TEXTS.common;
// Strokes that were left without being used, of one source; they are there when it is opened again.
let left = null;

/** Whether strokes on this source wait to be gone on with. */
export const isLeft = (image) => left?.data === image.data && left.of === image.of;

/** Opens the painter; `{mask}` and how it is used when done, null when left. */
export const paintMask = (image) => open(image, T.note, makeControls(image));

/** The same for a region: over a picture, or over nothing where `data` is null; `of` tells it from others. */
export const paintRegion = (image) => open(image, T.noteOfRegion, { nodes: [], read: () => ({}) });

function open(image, note, controls) {
  return new Promise((resolve) => {
    const painter = paint.makePainter(isLeft(image) ? { ...image, mask: left.mask } : image);
    let result = null;
    const done = () => {
      result = { mask: paint.isEmpty(painter) ? null : paint.png(painter), ...controls.read() };
      box.close();
    };
    const box = makeDialog(image, painter, note, controls.nodes, done);
    painter.changed = isLeft(image);
    box.addEventListener("keydown", (event) => keyPressed(event, painter, done));
    box.addEventListener("close", () => {
      left = !result && painter.changed ? { data: image.data, of: image.of, mask: paint.png(painter) } : null;
      box.remove();
      resolve(result);
    });
    document.body.append(box);
    box.showModal();
    painter.canvas.focus();
  });
}

function makeDialog(image, painter, note, controls, done) {
  const paper = h("div", { class: "paper", style: { "--ratio": image.width / image.height } },
    image.data && look(h("img", { src: image.data, alt: "" }), drawnBy(image)), painter.canvas, painter.brush);
  const button = (name, act, more = {}) => h("button", { onclick: () => act(painter), ...more }, name);
  const told = h("span", { class: "error", role: "alert" });
  const box = h("dialog", { class: "mask", "aria-label": T.title },
    h("p", { class: "note" }, note, h("span", { class: "by-keys" }, T.byKeys)),
    paper,
    h("div", { class: "tools" }, h("label", {}, T.brush, painter.sizeInput), controls, opener(painter, told), told),
    h("div", { class: "tools" },
      h("button", { "aria-pressed": "false", onclick: ({ currentTarget }) => turn(painter, currentTarget) }, T.erase),
      button(T.invert, paint.invert), button(C.clear, paint.clear), button(C.undo, paint.undo), button(T.redo, paint.redo),
      button(C.leave, () => box.close(), { title: T.stays }),
      button(T.done, done, { class: "primary", id: "mask-done" })));
  return box;
}

/** The model of a picture of ours; of a foreign one a name that no model has. */
const drawnBy = ({ request, receipt }) => request ?? (receipt?.model ? { model: receipt.model.name, model_sha256: receipt.model.sha256 } : { model: "" });

/** Takes the mask from a picture's file. */
function opener(painter, told) {
  const file = h("input", { type: "file", class: "sr", id: "mask-file", accept: "image/*", "aria-label": T.openSays, onchange: async () => {
    const address = URL.createObjectURL(file.files[0]);
    paint.keep(painter);
    told.textContent = await paint.load(painter, address).then(() => "", () => T.unread);
    file.value = "";
    URL.revokeObjectURL(address);
  } });
  return h("span", {}, h("label", { class: "quiet button", for: "mask-file", title: T.openSays }, C.open), file);
}

/** The brush erases from now on, or paints again: for hands without an Alt key. */
function turn(painter, button) {
  painter.erases = !painter.erases;
  button.setAttribute("aria-pressed", painter.erases);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function keyPressed(event, painter, done) {
  const ctrl = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const onCanvas = event.target === painter.canvas;
  if (key === "[" || key === "]") paint.resize(painter, painter.size * (key === "]" ? 1.12 : 1 / 1.12));
  else if (ctrl && (key === "y" || (key === "z" && event.shiftKey))) paint.redo(painter);
  else if (ctrl && key === "z") paint.undo(painter);
  else if (ctrl && key === "enter") done();
  else if (onCanvas && key === " ") {
    paint.keep(painter);
    paint.stroke(painter, painter.at, event.altKey);
  } else if (onCanvas && ARROWS[event.key]) paint.nudge(painter, ARROWS[event.key]);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
