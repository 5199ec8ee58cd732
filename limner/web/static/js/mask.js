// Painting a mask on the source: white is repainted. It travels as PNG, in the source's own pixels.

import { model } from "./account.js";
import { $, h } from "./dom.js";

const SIDE_MAX = 1024;
const UNDO_MAX = 20;

/** Opens the painter in place of the picture; `{mask, feather}` when done, null when left. */
export function paintMask(image) {
  return new Promise((resolve) => {
    const painter = makePainter(image);
    const stage = $("#stage");
    const others = [...stage.children].map((node) => [node, node.hidden]);
    const close = (result) => {
      view.remove();
      removeEventListener("keydown", onKey, true);
      others.forEach(([node, hidden]) => { node.hidden = hidden; });
      resolve(result);
    };
    const onKey = (event) => keyPressed(event, painter, () => close(null));
    const done = () => close({ mask: painter.isEmpty() ? null : painter.png(), feather: Number(feather.value) });
    const feather = h("input", { type: "range", min: 0, max: 64, value: image.feather, "aria-label": "Feather, pixels" });
    const view = makeView(image, painter, feather, done, () => close(null));
    others.forEach(([node]) => { node.hidden = true; });
    stage.append(view);
    addEventListener("keydown", onKey, true);
    painter.canvas.focus();
  });
}

function makeView(image, painter, feather, done, cancel) {
  const paper = h("div", { class: "paper", style: { "--ratio": String(image.width / image.height) } },
    h("img", { src: image.data, alt: "", class: model()?.sprite_pixels ? "crisp" : "" }), painter.canvas, painter.brush);
  const button = (name, onclick, more = {}) => h("button", { type: "button", onclick, ...more }, name);
  return h("div", { class: "mask", role: "group", "aria-label": "Mask" },
    h("p", { class: "note" }, "Paint what is to be drawn anew. ",
      h("span", { class: "by-keys" }, "Alt erases; wheel or [ ] change the brush; arrows and Space paint by keyboard.")),
    paper,
    h("div", { class: "tools" }, h("label", {}, "Brush", painter.sizeInput), h("label", {}, "Feather", feather)),
    h("div", { class: "tools" },
      button("Erase", painter.turn, { "aria-pressed": "false" }), button("Invert", painter.invert),
      button("Clear", painter.clear), button("Undo", painter.undo), button("Leave", cancel),
      button("Use this mask", done, { class: "primary", id: "mask-done" })));
}

function makePainter(image) {
  const scale = Math.min(1, SIDE_MAX / Math.max(image.width, image.height));
  const [width, height] = [Math.round(image.width * scale), Math.round(image.height * scale)];
  const canvas = h("canvas", { class: "paint", width, height, tabindex: 0, role: "img", "aria-label": "The picture under the mask" });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const accent = getComputedStyle(document.documentElement).getPropertyValue("--vermilion").trim();
  const state = { size: Math.round(Math.max(width, height) / 8), at: [width / 2, height / 2], last: null, undo: [], erases: false };
  const brush = h("span", { class: "brush" });
  const sizeInput = h("input", { type: "range", min: 4, max: Math.round(Math.max(width, height) / 2), value: state.size });
  const painter = { canvas, brush, sizeInput, state, context, width, height, accent };
  Object.assign(painter, {
    resize: (size) => {
      state.size = Math.min(Number(sizeInput.max), Math.max(4, Math.round(size)));
      sizeInput.value = state.size;
      showBrush(painter);
    },
    keep: () => {
      state.undo.push(context.getImageData(0, 0, width, height));
      if (state.undo.length > UNDO_MAX) state.undo.shift();
    },
    undo: () => state.undo.length && context.putImageData(state.undo.pop(), 0, 0),
    clear: () => { painter.keep(); context.clearRect(0, 0, width, height); },
    invert: () => invert(painter),
    /** The brush erases from now on, or paints again: for hands without an Alt key. */
    turn: ({ currentTarget: button }) => {
      state.erases = !state.erases;
      button.setAttribute("aria-pressed", String(state.erases));
    },
    isEmpty: () => !context.getImageData(0, 0, width, height).data.some((value, i) => i % 4 === 3 && value > 127),
    png: () => exported(painter),
  });
  if (image.mask) load(painter, image.mask);
  listen(painter);
  return painter;
}

function listen(painter) {
  const { canvas, state, sizeInput } = painter;
  const place = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [(event.clientX - edge.left) / edge.width * painter.width, (event.clientY - edge.top) / edge.height * painter.height];
  };
  sizeInput.addEventListener("input", () => painter.resize(Number(sizeInput.value)));
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    painter.keep();
    state.at = state.last = place(event);
    stroke(painter, state.at, event.altKey);
  });
  canvas.addEventListener("pointermove", (event) => {
    state.at = place(event);
    showBrush(painter);
    if (!state.last) return;
    stroke(painter, state.at, event.altKey);
    state.last = state.at;
  });
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => { state.last = null; });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    painter.resize(state.size * (event.deltaY < 0 ? 1.12 : 1 / 1.12));
  }, { passive: false });
  canvas.addEventListener("focus", () => showBrush(painter));
}

function stroke(painter, to, erase) {
  const { context, state, accent } = painter;
  const from = state.last ?? to;
  context.globalCompositeOperation = erase || state.erases ? "destination-out" : "source-over";
  Object.assign(context, { lineWidth: state.size, lineCap: "round", strokeStyle: accent });
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(to[0] + 0.01, to[1]);
  context.stroke();
}

function showBrush({ brush, state, width, height }) {
  brush.style.width = `${state.size / width * 100}%`;
  brush.style.aspectRatio = "1";
  brush.style.left = `${state.at[0] / width * 100}%`;
  brush.style.top = `${state.at[1] / height * 100}%`;
}

/** Keys of the painter; those of the page rest while it is open. */
function keyPressed(event, painter, leave) {
  const { state, width, height } = painter;
  if (event.key === "[" || event.key === "]") painter.resize(state.size * (event.key === "]" ? 1.12 : 1 / 1.12));
  else if (event.key === "z" && (event.ctrlKey || event.metaKey)) painter.undo();
  else if (event.key === "Escape") leave();
  else if (event.target === painter.canvas && event.key === " ") {
    painter.keep();
    stroke(painter, state.at, event.altKey);
  } else if (event.target === painter.canvas && event.key.startsWith("Arrow")) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const far = Math.max(2, state.size / 3);
    state.at = [Math.min(width, Math.max(0, state.at[0] + dx * far)), Math.min(height, Math.max(0, state.at[1] + dy * far))];
    showBrush(painter);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

function invert(painter) {
  const { context, width, height, accent } = painter;
  painter.keep();
  context.globalCompositeOperation = "xor";
  context.fillStyle = accent;
  context.fillRect(0, 0, width, height);
}

/** White where painted, black elsewhere. */
function exported({ context, width, height }) {
  const pixels = context.getImageData(0, 0, width, height);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data.fill(pixels.data[i + 3] > 127 ? 255 : 0, i, i + 3);
  for (let i = 3; i < pixels.data.length; i += 4) pixels.data[i] = 255;
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas.toDataURL("image/png");
}

async function load(painter, mask) {
  const { context, width, height, accent } = painter;
  const image = new Image();
  image.src = mask;
  await image.decode();
  context.drawImage(image, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data[i + 3] = pixels.data[i];
  context.putImageData(pixels, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = accent;
  context.fillRect(0, 0, width, height);
}
