// What would be drawn now: one observable object; its draft survives a reload.

import { loadDraft, saveDraft } from "../page/local.js";
import { LINES, everyValueOf, onWire, valuesOf } from "./fields.js";
import { detailsOnWire, guidesOnWire, regionsOnWire } from "./parts.js";
import * as masking from "./source/masking.js";

export const LIMITS = { side: [512, 1024], sideStep: 64 };

// A seed is text of decimal digits, since numbers here end at 2^53; null is random.
const EMPTY = {
  prompt: "", negative_prompt: "", img_width: 512, img_height: 512, seed: null, locked: false, styles: [], regions: [], details: [], extra: {},
  ...valuesOf((row) => row.start),
};
export const EXAMPLE = {
  prompt: "a knight in (red armor:1.2) with a sword, desert background",
  negative_prompt: "blurry, noise",
};

const draft = loadDraft();
let state = { ...EMPTY, ...(draft ?? EXAMPLE), image: null, controls: [] };
if (typeof state.seed === "number") state.seed = String(state.seed); // a draft of an earlier version
const watchers = new Set();

export const order = {
  get: () => state,
  /** Changes fields and tells every watcher which. */
  set(patch) {
    const changed = Object.keys(patch).filter((name) => state[name] !== patch[name]);
    if (!changed.length) return;
    state = { ...state, ...patch };
    const { image, controls, ...kept } = state;
    // Masks are kept with the other pixels, in the drawer.
    saveDraft({ ...kept, regions: kept.regions.map(({ mask, ...one }) => one) });
    for (const one of watchers) one.box.isConnected ? one.fn(state, changed) : watchers.delete(one);
  },
  /** Calls `fn(order, changed)` now and on every change, while `box` is in the page. */
  watch(fn, box = document) {
    watchers.add({ fn, box });
    fn(state, Object.keys(state));
  },
};

// A picture of 16 x 16 stands for the source where only its presence counts.
const STAND_IN = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAEUlEQVR42mNsYEAFTAwjWgAAmZAAoFDIQrAAAAAASUVORK5CYII=";

/** The order as the API takes it. `light`: without the pixels, for prices and explanations. */
export function toBody(o = state, { light = false } = {}) {
  const body = {
    prompt: o.prompt, negative_prompt: o.negative_prompt, img_width: o.img_width, img_height: o.img_height,
    ...onWire((row) => o[row.name]), seed: o.locked && o.seed !== null ? o.seed : -1,
  };
  const mix = styleMix(o.styles);
  if (mix) body.style_mix = mix;
  Object.assign(body, o.extra, partsOf(o, light));
  if (o.image) Object.assign(body, sourceFields(o.image, light));
  return body;
}

/** Regions, details and followed pictures, where there are any. */
function partsOf(o, light) {
  const own = regionsOnWire(o.regions, light ? STAND_IN : null);
  return {
    ...(own.length && { regions: own }), ...(o.details.length && { details: detailsOnWire(o.details) }),
    ...(o.controls.length && { controls: guidesOnWire(o.controls, light ? STAND_IN : null) }),
  };
}

function sourceFields(image, light) {
  const fields = { image: light ? STAND_IN : image.data, strength: image.strength };
  if (!image.mask) return { ...fields, resize_mode: image.resize };
  const masked = { mask: light ? STAND_IN : image.mask, ...masking.onWire(image) };
  return { ...fields, ...masked, ...(!image.only && { resize_mode: image.resize }) };
}

/** `o` as what is drawn of it: itself, or one for each line of its prompt. */
export const eachOf = (o = state) => (o.template === LINES
  ? o.prompt.split("\n").filter((line) => line.trim()).map((prompt) => ({ ...o, prompt })) : [o]);

const LISTS = new Set(["artists", "movements"]);

/** `[{kind, name, weight}]` as `style_mix`, or null. */
function styleMix(styles) {
  if (!styles.length) return null;
  const mix = {};
  for (const { kind, name, weight } of styles) {
    const pick = weight === null ? name : { name, weight };
    if (LISTS.has(kind)) (mix[kind] ??= []).push(pick);
    else mix[kind] = pick;
  }
  return mix;
}

/** What a generation says beside the desk's own fields; only what is not the default. */
function extraOf(g) {
  const extra = {};
  if (g.clip_skip > 1) extra.clip_skip = g.clip_skip;
  if (g.exact) extra.exact = true;
  if (g.noise_source && g.noise_source !== "philox") extra.noise_source = g.noise_source;
  for (const name of ["eta", "s_churn", "s_noise", "s_tmin", "s_tmax"]) if (g[name] !== undefined) extra[name] = g[name];
  if (g.subseed_strength) Object.assign(extra, { subseed: g.subseed, subseed_strength: g.subseed_strength });
  for (const name of ["tiling_start", "tiling_end"]) if (g[name] !== undefined) extra[name] = g[name];
  if (g.eta_noise_seed_delta) extra.eta_noise_seed_delta = g.eta_noise_seed_delta;
  if (g.loras?.length) extra.loras = g.loras.map(loraOnWire);
  if (g.sd_upscale) extra.sd_upscale = upscaleOnWire(g);
  return extra;
}

/** A stored size as the factor that gives it: rounding may not lose a pixel of it. */
const upscaleOnWire = ({ width, sd_upscale: { width: large, height: _, ...rest } }) => (
  { ...rest, scale: Math.min(4, (large + 0.25) / width) }
);

/** A LoRA of a generation as the API takes it: by its sum, or else its name. */
const loraOnWire = ({ name, sha256, unet, text_encoder, start, end }) => ({
  ...(sha256 ? { sha256 } : { name }), unet, text_encoder, start, end,
});

/** Fields of the desk from a body as the API takes it. */
export function fromBody({ img_width: width, img_height: height, num_inference_steps: steps, guidance_scale: guidance, ...rest }) {
  return fromGeneration({ ...rest, width, height, steps, guidance });
}

/** The regions of a generation that are boxes: masks stay on the server. */
const boxes = (g) => (g.regions ?? []).filter(({ box }) => box);

/** Fields of the desk from a stored generation (a receipt's `parameters`, a request's). */
export function fromGeneration(g) {
  const said = g.origin && !g.origin.template ? g.origin : null;
  const picks = Object.entries(said?.picks ?? {});
  return {
    prompt: (said ?? g).prompt, negative_prompt: (said ?? g).negative_prompt ?? "", img_width: g.width, img_height: g.height,
    ...everyValueOf((row) => row.of(g) ?? row.start), seed: g.seed, locked: true, extra: extraOf(g),
    regions: boxes(g), details: g.details ?? [], controls: [],
    styles: picks.flatMap(([kind, chosen]) => chosen.map(({ name, weight }) => ({ kind, name, weight: weight ?? null }))),
  };
}

/** A stored generation as the API takes it: for variations and snippets. */
export function generationBody(g) {
  const source = g.source ? { image: STAND_IN, strength: g.source.strength } : {};
  return {
    prompt: g.prompt, negative_prompt: g.negative_prompt ?? "", img_width: g.width, img_height: g.height,
    ...onWire((row) => row.of(g)), samples: g.samples ?? 1, seed: g.seed, ...extraOf(g), ...(boxes(g).length && { regions: boxes(g) }),
    ...(g.details?.length && { details: detailsOnWire(g.details) }), ...source,
  };
}
