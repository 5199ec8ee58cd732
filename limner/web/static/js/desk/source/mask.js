// The mask's dialog: what is painted is drawn anew. It owns the page while it is open.

import { model } from "../../account/account.js";
import { h } from "../../page/dom.js";
import * as paint from "./painter.js";

// Strokes that were left without being used, of one source; they are there when it is opened again.
let left = null;

/** Whether strokes on this source wait to be gone on with. */
export const isLeft = (image) => left?.data === image.data;

/** Opens the painter; `{mask, feather}` when done, null when left. */
export function paintMask(image) {
  return new Promise((resolve) => {
    const painter = paint.makePainter(isLeft(image) ? { ...image, mask: left.mask } : image);
    const feather = h("input", { type: "range", min: 0, max: 64, value: image.feather, "aria-label": "Feather, pixels" });
    let result = null;
    const done = () => {
      result = { mask: paint.isEmpty(painter) ? null : paint.png(painter), feather: Number(feather.value) };
      box.close();
    };
    const box = makeDialog(image, painter, feather, done);
    painter.changed = isLeft(image);
    box.addEventListener("keydown", (event) => keyPressed(event, painter, done));
    box.addEventListener("close", () => {
      left = !result && painter.changed ? { data: image.data, mask: paint.png(painter) } : null;
      box.remove();
      resolve(result);
    });
    document.body.append(box);
    box.showModal();
    painter.canvas.focus();
  });
}

function makeDialog(image, painter, feather, done) {
  const paper = h("div", { class: "paper", style: { "--ratio": String(image.width / image.height) } },
    h("img", { src: image.data, alt: "", class: model()?.sprite_pixels ? "crisp" : "" }), painter.canvas, painter.brush);
  const button = (name, act, more = {}) => h("button", { type: "button", onclick: () => act(painter), ...more }, name);
  const box = h("dialog", { class: "mask", "aria-label": "Mask" },
    h("p", { class: "note" }, "Paint what is to be drawn anew. ",
      h("span", { class: "by-keys" }, "Alt erases; wheel or [ ] change the brush; arrows and Space paint by keyboard.")),
    paper,
    h("div", { class: "tools" }, h("label", {}, "Brush", painter.sizeInput), h("label", {}, "Feather", feather)),
    h("div", { class: "tools" },
      h("button", { type: "button", "aria-pressed": "false", onclick: ({ currentTarget }) => turn(painter, currentTarget) }, "Erase"),
      button("Invert", paint.invert), button("Clear", paint.clear), button("Undo", paint.undo), button("Redo", paint.redo),
      button("Leave", () => box.close(), { title: "What is painted is still there when you come back" }),
      button("Use this mask", done, { class: "primary", id: "mask-done" })));
  return box;
}

/** The brush erases from now on, or paints again: for hands without an Alt key. */
function turn(painter, button) {
  painter.erases = !painter.erases;
  button.setAttribute("aria-pressed", String(painter.erases));
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
