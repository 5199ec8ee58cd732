// The canvas on which a mask is painted.

import { h } from "../../page/dom.js";
import { TEXTS } from "../../texts.js";

const T = TEXTS.mask;
const SIDE_MAX = 1024;
const UNDO_MAX = 20;
const SOLID = 127; // alpha above which a pixel is painted

/** A painter over `image`, `{width, height, mask}`; at most `SIDE_MAX` pixels a side. */
export function makePainter(image) {
  const scale = Math.min(1, SIDE_MAX / Math.max(image.width, image.height));
  const [width, height] = [Math.round(image.width * scale), Math.round(image.height * scale)];
  const canvas = h("canvas", { class: "paint", width, height, tabindex: 0, role: "img", "aria-label": T.picture });
  const painter = {
    canvas, width, height, brush: h("span", { class: "brush" }),
    context: canvas.getContext("2d", { willReadFrequently: true }),
    accent: getComputedStyle(document.documentElement).getPropertyValue("--vermilion").trim(),
    size: Math.round(Math.max(width, height) / 8), at: [width / 2, height / 2], last: null,
    undone: [], done: [], erases: false, changed: false,
  };
  painter.sizeInput = h("input", { type: "range", min: 4, max: Math.round(Math.max(width, height) / 2), value: painter.size,
    oninput: (event) => resize(painter, Number(event.target.value)) });
  listen(painter);
  if (image.mask) load(painter, image.mask);
  return painter;
}

export function resize(painter, size) {
  painter.size = Math.min(Number(painter.sizeInput.max), Math.max(4, Math.round(size)));
  painter.sizeInput.value = painter.size;
  showBrush(painter);
}

const look = ({ context, width, height }) => context.getImageData(0, 0, width, height);

/** Call before a change: undo comes back here. */
export function keep(painter) {
  painter.done.push(look(painter));
  if (painter.done.length > UNDO_MAX) painter.done.shift();
  painter.undone = [];
  painter.changed = true;
}

function swap(painter, from, to) {
  if (!from.length) return;
  to.push(look(painter));
  painter.context.putImageData(from.pop(), 0, 0);
}

export const undo = (painter) => swap(painter, painter.done, painter.undone);
export const redo = (painter) => swap(painter, painter.undone, painter.done);

export function clear(painter) {
  keep(painter);
  painter.context.clearRect(0, 0, painter.width, painter.height);
}

export function invert(painter) {
  const { context, width, height, accent } = painter;
  keep(painter);
  context.globalCompositeOperation = "xor";
  context.fillStyle = accent;
  context.fillRect(0, 0, width, height);
}

export const isEmpty = (painter) => !look(painter).data.some((value, i) => i % 4 === 3 && value > SOLID);

/** Paints from the last place to `to`. */
export function stroke(painter, to, erase) {
  const { context, accent } = painter;
  const from = painter.last ?? to;
  context.globalCompositeOperation = erase || painter.erases ? "destination-out" : "source-over";
  Object.assign(context, { lineWidth: painter.size, lineCap: "round", strokeStyle: accent });
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(to[0] + 0.01, to[1]);
  context.stroke();
}

/** Moves the brush by a third of its size, as the arrow keys do. */
export function nudge(painter, [dx, dy]) {
  const { width, height, at } = painter;
  const far = Math.max(2, painter.size / 3);
  painter.at = [Math.min(width, Math.max(0, at[0] + dx * far)), Math.min(height, Math.max(0, at[1] + dy * far))];
  showBrush(painter);
}

function showBrush({ brush, size, at, width, height }) {
  brush.style.width = `${size / width * 100}%`;
  brush.style.aspectRatio = "1";
  brush.style.left = `${at[0] / width * 100}%`;
  brush.style.top = `${at[1] / height * 100}%`;
}

function listen(painter) {
  const { canvas } = painter;
  const place = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [(event.clientX - edge.left) / edge.width * painter.width, (event.clientY - edge.top) / edge.height * painter.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return; // the right button opens a menu
    canvas.setPointerCapture(event.pointerId);
    keep(painter);
    painter.at = painter.last = place(event);
    stroke(painter, painter.at, event.altKey);
  });
  canvas.addEventListener("pointermove", (event) => {
    painter.at = place(event);
    showBrush(painter);
    if (!painter.last) return;
    stroke(painter, painter.at, event.altKey);
    painter.last = painter.at;
  });
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => { painter.last = null; });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    resize(painter, painter.size * (event.deltaY < 0 ? 1.12 : 1 / 1.12));
  }, { passive: false });
  canvas.addEventListener("focus", () => showBrush(painter));
  // A finger's stroke is no swipe: after a quick one the browser takes the next tap for its end.
  canvas.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
}

/** A PNG, white where painted and black elsewhere, as a `data:` address. */
export function png(painter) {
  const { width, height } = painter;
  const pixels = look(painter);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data.fill(pixels.data[i + 3] > SOLID ? 255 : 0, i, i + 3);
  for (let i = 3; i < pixels.data.length; i += 4) pixels.data[i] = 255;
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas.toDataURL("image/png");
}

/** Paints what is white in a picture, cut to the proportions, in place of what is there; what is transparent counts as black. */
export async function load(painter, mask) {
  const { context, width, height, accent } = painter;
  const image = new Image();
  image.src = mask;
  await image.decode();
  const scale = Math.max(width / image.naturalWidth, height / image.naturalHeight);
  const [w, t] = [image.naturalWidth * scale, image.naturalHeight * scale];
  context.globalCompositeOperation = "source-over";
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, (width - w) / 2, (height - t) / 2, w, t);
  const pixels = look(painter);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data[i + 3] = pixels.data[i];
  context.putImageData(pixels, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = accent;
  context.fillRect(0, 0, width, height);
}
