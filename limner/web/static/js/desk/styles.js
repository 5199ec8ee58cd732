// Styles from the server's catalogue, and the prompt that they make.

import { expected, get, post, thumbnail } from "../page/api.js";
import { $, $$, announce, closing, debounce, dialog, foot, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
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
    if (!o.styles.length || !o.prompt.trim()) show("");
  });
}

/** The prompts with what the styles of `o` add, which is shown; null without any, or where they are refused. */
export async function mix(o, current) {
  if (!o.styles.length) return null;
  try {
    const { prompt, negative_prompt } = await post("api/styles/preview", toBody(o, { light: true }));
    if (current()) show(T.draws(prompt));
    return { prompt, negative_prompt };
  } catch (error) {
    expected(error);
    if (current()) show(error.message.startsWith("style_mix") ? error.message : "");
    return null;
  }
}

const show = (text) => { $("#style-preview").textContent = text; };

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
  const find = h("input", { type: "search", placeholder: C.search, "aria-label": `${C.search}: ${C.styles}`, oninput: () => narrow(groups, find.value.trim().toLowerCase()) });
  const sample = h("img", { width: 64, height: 64, alt: "" });
  for (const on of ["pointerover", "focusin"]) groups.addEventListener(on, ({ target }) => showSample(sample, target.dataset.name));
  const box = dialog(C.styles, h("div", { class: "seed", style: { height: "64px", "align-items": "center" } }, find, sample), groups, foot(h("button", { onclick: () => order.set({ styles: [] }) }, T.withoutAny),
    closing(T.done, { class: "primary" })));
  order.watch((o) => mark(groups, o.styles), box);
}

/** The newest picture that was drawn in a style. */
const showSample = debounce(async (image, name) => {
  if (!name) return;
  try {
    const [found] = (await get(`api/pictures?limit=1&style=${encodeURIComponent(name)}`)).pictures;
    image.src = found ? await thumbnail(found.id, 128) : "data:,";
    image.alt = found?.prompt ?? "";
  } catch (error) {
    expected(error);
  }
}, 200);

/** Leaves those whose name holds `words`, and the kinds that have one. */
function narrow(groups, words) {
  for (const section of groups.children) {
    const names = $$("button", section);
    for (const button of names) button.hidden = !button.textContent.toLowerCase().includes(words);
    section.hidden = names.every((button) => button.hidden);
  }
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
    button.setAttribute("aria-pressed", on);
    button.setAttribute("aria-disabled", !on && full(styles, button.dataset.kind));
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
