// Starting from a picture: by drop, paste, file, or a picture drawn here.

import { Refused, Unreachable, post, request as call } from "../../page/api.js";
import { $, h } from "../../page/dom.js";
import * as drawer from "../../page/drawer.js";
import * as errors from "../../page/errors.js";
import { keepFocus } from "../../page/focus.js";
import { isLeft, paintMask } from "./mask.js";
import { readReceipt, saysSettings } from "./metadata.js";
import { fromBody, fromGeneration, order } from "../order.js";

const RESIZE = [
  { name: "crop", says: "fills the size, edges are cut", fit: "cover" },
  { name: "fill", says: "all of it, the rest is filled up", fit: "contain" },
  { name: "stretch", says: "pulled to the size", fit: "100% 100%" },
];
const KINDS = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);
const BYTES_MAX = 24 * 2 ** 20;

export function setUp() {
  $("#source-file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  document.addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData);
    if (file) {
      event.preventDefault();
      take(file);
    }
  });
  setUpDrop();
  restore();
  order.watch((o, changed) => changed.some((name) => ["image", "img_width", "img_height"].includes(name)) && show(o));
}

/** After a reload the source is there again, with its mask. */
async function restore() {
  const image = await drawer.take();
  if (image && !order.get().image) order.set({ image });
  order.watch((o, changed) => changed.includes("image") && drawer.put(o.image));
}

function setUpDrop() {
  let depth = 0;
  const dropping = (on) => document.body.classList.toggle("dropping", on);
  document.addEventListener("dragenter", (event) => {
    if ([...event.dataTransfer.types].includes("Files")) dropping(++depth > 0);
  });
  document.addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); dropping(depth > 0); });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dropping((depth = 0) > 0);
    const file = pictureIn(event.dataTransfer);
    const [other] = event.dataTransfer.files;
    if (file ?? other) take(file ?? other);
  });
}

const pictureIn = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));

/** Makes a file (or blob) the source. */
export async function take(file) {
  if (!file) return;
  errors.clear("image");
  if (!KINDS.has(file.type)) return errors.show(`image is ${file.name ? `“${file.name}”` : "a file"}, which the server does not read; use PNG, JPEG, WebP or GIF`);
  if (file.size > BYTES_MAX) return errors.show(`image has ${Math.round(file.size / 2 ** 20)} MB; at most 24 MB are sent`);
  const bytes = await file.arrayBuffer();
  const address = await dataUri(file);
  let size;
  try {
    size = await sizeOf(address);
  } catch {
    return errors.show("image is not a picture this browser reads; use PNG, JPEG, WebP or GIF");
  }
  const receipt = readReceipt(new Uint8Array(bytes));
  const foreign = !receipt && saysSettings(new Uint8Array(bytes));
  order.set({ image: { data: address, ...size, strength: 0.6, resize: "crop", mask: null, feather: 4, receipt, foreign } });
  $("#controls").open = true;
  $("#source").scrollIntoView({ block: "nearest" });
}

/** Puts back the source that a request was sent with. */
export async function takeAgain({ image: data, mask = null, strength, resize_mode: resize, mask_blur: feather = 4 }) {
  order.set({ image: { data, ...(await sizeOf(data)), strength, resize, mask, feather, receipt: null } });
}

/** A file's bytes as a `data:` address. */
export const dataUri = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});

async function sizeOf(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return { width: image.naturalWidth, height: image.naturalHeight };
}

const change = (patch) => order.set({ image: { ...order.get().image, ...patch } });

let shown = null;

function show({ image, img_width: width, img_height: height }) {
  const panel = $("#source-panel");
  panel.hidden = !image;
  $("#source-hint").hidden = Boolean(image);
  // A slider under the hand is not replaced while it moves.
  if (image && shown && shown.data === image.data && shown.mask === image.mask && panel.contains(document.activeElement)
    && document.activeElement.type === "range") return;
  shown = image;
  if (!image) return panel.replaceChildren();
  return keepFocus(panel, () => panel.replaceChildren(thumb(image), h("div", {}, strength(image), resize(image, width, height)), buttons(image)));
}

function thumb(image) {
  return h("div", { class: "thumb" }, h("img", { src: image.data, alt: `The source, ${image.width} by ${image.height} pixels` }),
    image.mask && h("span", { class: "veil", role: "img", "aria-label": "A mask is painted on it", style: { "--mask": `url("${image.mask}")` } }));
}

function strength(image) {
  const output = h("output", {}, image.strength.toFixed(2));
  const input = h("input", { type: "range", id: "strength", min: 0.05, max: 1, step: 0.05, value: image.strength,
    "aria-describedby": "strength-note",
    oninput: (event) => {
      output.textContent = Number(event.target.value).toFixed(2);
      change({ strength: Number(event.target.value) });
    } });
  return h("div", {}, h("div", { class: "field-head" }, h("label", { for: "strength" }, "Strength"), output), input,
    h("p", { class: "note", id: "strength-note" }, "low keeps it, high forgets it"));
}

function resize(image, width, height) {
  const scale = 44 / Math.max(width, height);
  return h("div", { class: "thumbs", role: "radiogroup", "aria-label": "How it is brought to size" }, RESIZE.map(({ name, says, fit }) => {
    const frame = h("span", { class: "frame", style: { "--w": `${width * scale}px`, "--h": `${height * scale}px`, "--fit": fit } });
    frame.style.backgroundImage = `url("${image.data}")`;
    return h("label", { title: says }, h("input", { type: "radio", name: "resize", value: name, checked: image.resize === name,
      "aria-label": `${name}: ${says}`, onchange: () => change({ resize: name }) }), frame, name);
  }));
}

function buttons(image) {
  return h("div", { class: "source-buttons" },
    h("button", { type: "button", id: "mask-open", onclick: () => mask(image) }, isLeft(image) ? "Go on with the mask" : image.mask ? "Change the mask" : "Paint a mask"),
    image.mask && h("button", { type: "button", onclick: () => change({ mask: null }) }, "Without mask"),
    (image.receipt || image.foreign) && h("button", { type: "button", id: "load-settings",
      onclick: () => (image.receipt ? loadSettings(image.receipt) : loadForeign(image.data)) }, "Load its settings"),
    h("button", { type: "button", id: "source-remove", onclick: () => order.set({ image: null }) }, "Take it away"));
}

async function mask(image) {
  const painted = await paintMask(image);
  if (painted && order.get().image) change(painted);
  else show(order.get());
  $("#mask-open")?.focus();
}

/**
 * The settings of a picture of ours, from the receipt inside it; the picture itself is let go. What
 * it started from is fetched where this server still has it, and told where not.
 */
async function loadSettings(receipt) {
  const { source } = receipt.parameters;
  order.set({ ...fromGeneration(receipt.parameters), image: null });
  $("#prompt").focus();
  if (!source) return;
  try {
    await takeAgain(await keptSource(source));
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    errors.show(`image: it was drawn from another picture (strength ${source.strength}), which cannot be fetched here: ${error.message}`, null, { focus: false });
  }
}

/** The settings of another program's picture, as the server reads them; what is not here is told. */
async function loadForeign(picture) {
  try {
    const { settings, missing, differs } = await post("api/replay", { picture, dry_run: true });
    order.set({ ...fromBody(settings), image: null });
    $("#prompt").focus();
    errors.show(`image: ${[...missing, ...differs].join("; ")}`, null, { focus: false });
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    errors.show(`image: ${error.message}`, null, { focus: false });
  }
}

const kept = async (sha256) => dataUri(await (await call(`api/sources/${sha256}`)).blob());

/** The fields of a stored generation's `source`, with its pictures from the server. */
export async function keptSource({ sha256, mask_sha256: mask, strength, resize_mode, mask_blur }) {
  return { image: await kept(sha256), ...(mask && { mask: await kept(mask), mask_blur }), strength, resize_mode };
}
