// Starting from a picture.

import { expected, post, request as call } from "../../page/api.js";
import { $, h } from "../../page/dom.js";
import * as errors from "../../page/errors.js";
import { keepFocus } from "../../page/focus.js";
import { isLeft, paintMask } from "./mask.js";
import { fromWire, onWire } from "./masking.js";
import { readReceipt, saysSettings } from "./metadata.js";
import { fromBody, fromGeneration, order } from "../order.js";
import { TEXTS } from "../../texts.js";

const T = TEXTS.source;
const RESIZE = [
  { name: "crop", says: T.crop, fit: "cover" },
  { name: "fill", says: T.fill, fit: "contain" },
  { name: "stretch", says: T.stretch, fit: "100% 100%" },
];
const KINDS = new Set(["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"]);
const BYTES_MAX = 24 * 2 ** 20;
const PIXELS_MAX = 40e6;

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
  order.watch((o, changed) => changed.some((name) => ["image", "img_width", "img_height"].includes(name)) && show(o));
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
  silence();
  if (!KINDS.has(file.type)) return errors.show(T.noKind(file.name ? `“${file.name}”` : T.aFile));
  if (file.size > BYTES_MAX) return errors.show(T.tooLarge(Math.round(file.size / 2 ** 20)));
  const bytes = await file.arrayBuffer();
  const address = await dataUri(file);
  let size;
  try {
    size = await sizeOf(address);
  } catch {
    return errors.show(T.unreadable);
  }
  if (size.width * size.height > PIXELS_MAX) return errors.show(T.tooMany(size.width, size.height));
  const receipt = readReceipt(new Uint8Array(bytes));
  const foreign = !receipt && saysSettings(new Uint8Array(bytes));
  order.set({ image: { data: address, ...size, strength: 0.6, resize: "crop", mask: null, ...fromWire(), receipt, foreign } });
  $("#controls").open = true;
  $("#source").scrollIntoView({ block: "nearest" });
}

/** Puts back the source that a request was sent with. */
export async function takeAgain({ image: data, mask = null, strength, resize_mode: resize = "crop", ...masking }) {
  order.set({ image: { data, ...(await sizeOf(data)), strength, resize, mask, ...fromWire(masking), receipt: null } });
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
  return h("div", { class: "thumb" }, h("img", { src: image.data, alt: T.source(image.width, image.height) }),
    image.mask && h("span", { class: "veil", role: "img", "aria-label": T.masked, style: { "--mask": `url("${image.mask}")` } }));
}

function strength(image) {
  const output = h("output", {}, image.strength.toFixed(2));
  const input = h("input", { type: "range", id: "strength", min: 0.05, max: 1, step: 0.05, value: image.strength,
    "aria-describedby": "strength-note",
    oninput: (event) => {
      output.textContent = Number(event.target.value).toFixed(2);
      change({ strength: Number(event.target.value) });
    } });
  return h("div", {}, h("div", { class: "field-head" }, h("label", { for: "strength" }, T.strength), output), input,
    h("p", { class: "note", id: "strength-note" }, T.strengthSays));
}

function resize(image, width, height) {
  const scale = 44 / Math.max(width, height);
  return h("div", { class: "thumbs", role: "radiogroup", "aria-label": T.resize }, RESIZE.map(({ name, says, fit }) => {
    const frame = h("span", { class: "frame", style: { "--w": `${width * scale}px`, "--h": `${height * scale}px`, "--fit": fit } });
    frame.style.backgroundImage = `url("${image.data}")`;
    return h("label", { title: says }, h("input", { type: "radio", name: "resize", value: name, checked: image.resize === name,
      "aria-label": `${name}: ${says}`, onchange: () => change({ resize: name }) }), frame, name);
  }));
}

function buttons(image) {
  return h("div", { class: "source-buttons" },
    h("button", { id: "mask-open", onclick: () => mask(image) }, isLeft(image) ? T.maskGoOn : image.mask ? T.maskChange : T.maskPaint),
    image.mask && h("button", { onclick: () => change({ mask: null }) }, T.withoutMask),
    (image.receipt || image.foreign) && h("button", { id: "load-settings",
      onclick: () => (image.receipt ? loadSettings(image.receipt) : loadForeign(image.data)) }, T.loadItsSettings),
    h("button", { id: "source-remove", onclick: () => order.set({ image: null }) }, T.takeItAway));
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
    expected(error);
    errors.show(T.sourceIsGone(source.strength, error.message), null, { focus: false });
  }
}

/** What of another program's picture is not here, and what cannot be the same: a note, since its
 * settings were loaded all the same. It stays until the next picture, or until it is closed. */
function tell(missing, differs) {
  const list = (says, sentences) => sentences.length > 0 && [h("p", {}, says), h("ul", {}, sentences.map((each) => h("li", {}, each)))];
  const shut = h("button", { class: "quiet", id: "source-read-close", onclick: silence }, T.close);
  const said = [list(T.loadedButMissing, missing), list(missing.length ? T.notTheSame : T.loadedButDiffers, differs)];
  const box = $("#source-read");
  box.replaceChildren(...(missing.length || differs.length ? said.filter(Boolean).flat() : [h("p", {}, T.loaded)]), shut);
  box.hidden = false;
  // It lies below the fold of the desk; whoever loaded the settings is there.
  box.focus({ preventScroll: true });
  box.scrollIntoView({ block: "nearest" });
}

function silence() {
  const box = $("#source-read");
  const inside = box.contains(document.activeElement);
  box.hidden = true;
  if (inside) $("#prompt").focus();
}

/** The settings of another program's picture, as the server reads them; what is not here is told. */
async function loadForeign(picture) {
  try {
    const { settings, missing, differs } = await post("api/replay", { picture, dry_run: true });
    order.set({ ...fromBody(settings), image: null });
    tell(missing, differs);
  } catch (error) {
    expected(error);
    errors.show(`image: ${error.message}`, null, { focus: false });
  }
}

/** A picture that a stored request was drawn with: a source, a mask, a map. */
export const kept = async (sha256) => dataUri(await (await call(`api/sources/${sha256}`)).blob());

/** The fields of a stored generation's `source`, with its pictures from the server. */
export async function keptSource({ sha256, mask_sha256: mask, strength, resize_mode, ...masking }) {
  const masked = mask && { mask: await kept(mask), ...onWire(fromWire(masking)) };
  return { image: await kept(sha256), ...masked, strength, ...(!masking.only_masked && { resize_mode }) };
}
