// Styles from the server's catalogue: chips with weights, and a preview of the whole prompt.

import { expected, get, post } from "../page/api.js";
import { $, announce, closing, debounce, dialog, foot, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { key } from "../page/local.js";
import { order, toBody } from "./order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.styles;
const C = TEXTS.common;

export const KINDS = [
  { kind: "concept", list: "concepts", title: T.world, most: 1 },
  { kind: "image_type", list: "image_types", title: T.madeAs, most: 1 },
  { kind: "direction", list: "directions", title: T.view, most: 1 },
  { kind: "mood", list: "moods", title: T.lightAndMood, most: 1 },
  { kind: "colors", list: "colors", title: T.colours, most: 1 },
  { kind: "movements", list: "movements", title: T.movements, most: 3 },
  { kind: "artists", list: "artists", title: T.artists, most: 3 },
  { kind: "preset", list: "presets", title: T.setsOfPhrases, most: 1 },
];
const WEIGHT = 1.3;
let catalogue = null;

export async function loadCatalogue() {
  catalogue ??= await get("api/styles");
  return catalogue;
}

/** The names of one kind; an entry is a name or `{name, ...}`. */
export const namesOf = (list) => (catalogue?.[list] ?? []).map((entry) => (typeof entry === "string" ? entry : entry.name));

export function setUp() {
  $("#styles-open").addEventListener("click", choose);
  order.watch((o, changed) => {
    if (changed.includes("styles")) showChips(o.styles);
    if (changed.some((name) => ["styles", "prompt", "negative_prompt", "seed", "locked"].includes(name))) preview();
  });
}

const preview = debounce(async () => {
  const o = order.get();
  const line = $("#style-preview");
  if (!o.styles.length || !o.prompt.trim() || !key.get()) {
    line.textContent = "";
    return;
  }
  try {
    const told = await post("api/styles/preview", toBody(o, { light: true }));
    const whole = told.prompt ?? told.lines?.[0]?.prompt ?? "";
    const { chunks } = await post("api/explain", { prompt: whole });
    const tokens = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    line.textContent = T.draws(tokens, 75 * Math.max(1, chunks.length), whole);
  } catch (error) {
    expected(error);
    line.textContent = error.message.startsWith("style_mix") ? error.message : "";
  }
}, 350);

let chips = null;

function showChips(styles) {
  // A weight that is being typed stays under the hand.
  const names = JSON.stringify(styles.map(({ kind, name }) => [kind, name]));
  if (names === chips) return;
  chips = names;
  $("#style-chips").replaceChildren(...styles.map((style, index) => h("span", { class: "chip", role: "listitem" },
    style.name,
    h("input", { type: "number", min: 0, max: 2, step: 0.1, value: style.weight ?? (style.kind === "preset" ? 1 : WEIGHT),
      "aria-label": T.weightOf(style.name),
      onchange: (event) => setWeight(index, event.target.value === "" ? null : Number(event.target.value)) }),
    h("button", { "aria-label": C.without(style.name), onclick: () => removeAt(index) }, "×"))));
}

function setWeight(index, weight) {
  order.set({ styles: order.get().styles.map((style, i) => (i === index ? { ...style, weight } : style)) });
}

function removeAt(index) {
  order.set({ styles: order.get().styles.filter((_, i) => i !== index) });
  const left = [...$("#style-chips").querySelectorAll("button")];
  (left[Math.min(index, left.length - 1)] ?? $("#styles-open")).focus();
}

async function choose() {
  try {
    await loadCatalogue();
  } catch (error) {
    expected(error);
    return errors.show(`style_mix: ${error.message}`);
  }
  const groups = h("div", { class: "style-groups" }, KINDS.map((kind) => group(kind)));
  const box = dialog(C.styles, groups, foot(h("button", { onclick: () => order.set({ styles: [] }) }, T.withoutAny),
    closing(T.done, { class: "primary" })));
  const stop = () => box.isConnected;
  order.watch((o) => stop() && mark(groups, o.styles));
  return undefined;
}

/** With as many chosen as may be, the others of a kind cannot be pressed. */
function full(styles, kind) {
  const { most } = KINDS.find((one) => one.kind === kind);
  return most > 1 && styles.filter((style) => style.kind === kind).length >= most;
}

function group({ kind, list, title, most }) {
  const names = ["random", ...namesOf(list)];
  return h("section", {}, h("h3", {}, most > 1 ? T.upTo(title, most) : title),
    h("div", { class: "options" }, names.map((name) => h("button", {
      "aria-pressed": "false", data: { kind, name }, onclick: () => toggle(kind, name, most),
    }, name))));
}

function mark(groups, styles) {
  for (const button of groups.querySelectorAll("button")) {
    const on = styles.some((style) => style.kind === button.dataset.kind && style.name === button.dataset.name);
    button.setAttribute("aria-pressed", String(on));
    button.setAttribute("aria-disabled", String(!on && full(styles, button.dataset.kind)));
  }
}

function toggle(kind, name, most) {
  const { styles } = order.get();
  const without = styles.filter((style) => style.kind !== kind || style.name !== name);
  if (without.length < styles.length) return order.set({ styles: without });
  const same = styles.filter((style) => style.kind === kind);
  // One choice takes the place of another; of several, none goes unseen.
  if (most > 1 && same.length >= most) return announce(T.full(most));
  const kept = same.length < most ? styles : styles.filter((style) => style !== same[0]);
  return order.set({ styles: [...kept, { kind, name, weight: null }] });
}
