// Boxes of the picture, in hundredths of it, as lists on the desk: regions with prompts of their own
// (or of a painted mask), and details that are drawn once more when the picture is done.

import { expected, get, picture as fetchPicture } from "../page/api.js";
import { $, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { keepFocus } from "../page/focus.js";
import { key } from "../page/local.js";
import * as stage from "../stage/stage.js";
import { TEXTS } from "../texts.js";
import { drawBoxes } from "./boxing.js";
import { order } from "./order.js";
import { paintRegion } from "./source/mask.js";

const T = TEXTS.boxes;
/** Whether it is a mask, or boxes that a detector is yet to find. */
const noBox = ({ box, mask }) => Boolean(mask) || !box;
// Halves first, then a middle: what is added does not lie on what is there.
const STARTS = [[0, 0, 0.5, 1], [0.5, 0, 0.5, 1], [0.25, 0.25, 0.5, 0.5]];

// Each list: where it stands, how many it holds at most, what a new one is beside its box, and its number.
const LISTS = [
  { name: "regions", id: "region", most: 8, start: { prompt: "", weight: 1 }, number: { field: "weight", says: T.weight, min: 0.1, max: 10, step: 0.1 }, masks: true },
  { name: "details", id: "detail", most: 16, start: { prompt: "", strength: 0.4 }, number: { field: "strength", says: T.strength, min: 0.05, max: 1, step: 0.05 } },
];

const FOUND_MOST = 4;
let detectors = [];

export function setUp() {
  LISTS.forEach(setUpList);
  $("#detail-find").addEventListener("click", () => key.get() && addFound());
}

/** One more detail: what a detector of the library finds. */
async function addFound() {
  errors.clear("details");
  try {
    detectors = (await get("api/models")).filter((row) => row.usable && row.kind === "detector");
  } catch (error) {
    expected(error);
    return errors.show(`details: ${error.message}`);
  }
  if (!detectors.length) return errors.show(T.noDetector);
  const [, { start }] = LISTS;
  order.set({ details: [...order.get().details, { ...start, detector: detectors[0].name, max: FOUND_MOST }] });
  return $("#details li:last-child input")?.focus();
}

function setUpList(list) {
  const { name, id, start } = list;
  $(`#${id}-add`).addEventListener("click", () => {
    const some = order.get()[name];
    order.set({ [name]: [...some, { ...start, box: STARTS[Math.min(some.length, STARTS.length - 1)] }] });
    $(`#${name} li:last-child input`)?.focus();
  });
  $(`#${id}-draw`).addEventListener("click", () => draw(list));
  order.watch((o, changed) => changed.some((field) => [name, "img_width", "img_height"].includes(field)) && show(list, o));
}

/** What the parts are drawn on: the picture that is looked at, where it has the desk's proportions. */
async function backdrop() {
  const { img_width: width, img_height: height } = order.get();
  const { picture: seen, request } = stage.looked() ?? {};
  const fits = seen && Math.abs(seen.width / seen.height - width / height) < 0.01;
  return { width, height, request: fits ? request : null, data: fits ? await fetchPicture(seen.id).catch(() => null) : null };
}

async function draw({ name, id, most, start }) {
  const some = order.get()[name];
  const boxes = await drawBoxes({ ...T[name], most: most - some.filter(noBox).length, ...await backdrop(),
    boxes: some.flatMap((one, from) => (noBox(one) ? [] : [{ box: one.box, from }])) });
  // Those that are none are not among the boxes, and stay.
  if (boxes) order.set({ [name]: [...some.filter(noBox), ...boxes.map(({ box, from }) => ({ ...(some[from] ?? start), box }))] });
  $(`#${id}-draw`).focus();
}

const change = (name, i, patch) => order.set({ [name]: order.get()[name].map((one, n) => (n === i ? { ...one, ...patch } : one)) });

function show(list, o) {
  const some = o[list.name];
  $(`#${list.id}-add`).disabled = some.length >= list.most;
  const rows = $(`#${list.name}`);
  // What is typed in is not replaced under the hand.
  const same = rows.children.length === some.length && rows.contains(document.activeElement) && document.activeElement.matches("input");
  if (!same) keepFocus(rows, () => rows.replaceChildren(...some.map((one, i) => row(list, one, i))));
  plan($(`#${list.id}-plan`), some, o.img_width / o.img_height);
}

/** The parts as they lie in the picture. */
function plan(node, some, ratio) {
  node.hidden = !some.length;
  node.style.setProperty("--ratio", ratio);
  node.replaceChildren(...some.flatMap(({ box, mask }, i) => (mask
    ? h("span", { class: "veil", style: { "--mask": `url("${mask}")` } }, i + 1)
    : !box ? [] : h("span", { style: Object.fromEntries(["left", "top", "width", "height"].map((side, n) => [side, `${100 * box[n]}%`])) }, i + 1))));
}

function row(list, one, i) {
  const { name, id, number } = list;
  const t = T[name];
  const field = (says, value, put, more) => h("label", {}, says, h("input", { type: "number", value, "aria-label": t.ofOne(says, i + 1), ...more,
    oninput: (event) => event.target.value !== "" && put(Number(event.target.value)) }));
  const put = (side) => (value) => change(name, i, { box: order.get()[name][i].box.map((old, n) => (n === side ? value / 100 : old)) });
  const sides = one.detector ? found(one, i, field) : one.mask ? [] : T.sides.map((says, side) => field(`${says} %`, Math.round(100 * one.box[side]), put(side), { min: side < 2 ? 0 : 2, max: 100, step: 1 }));
  return h("li", {},
    h("div", { class: "line" }, h("input", { type: "text", value: one.prompt ?? "", placeholder: t.words, "aria-label": t.wordsOf(i + 1),
      oninput: (event) => change(name, i, { prompt: event.target.value }) }),
    h("button", { class: "icon", "aria-label": t.without(i + 1), onclick: () => {
      order.set({ [name]: order.get()[name].filter((_, n) => n !== i) });
      $(`#${id}-add`).focus();
    } }, "×")),
    h("div", { class: "numbers" }, one.mask && h("img", { src: one.mask, alt: T.hasMask(i + 1) }), sides,
      field(number.says, one[number.field], (value) => change(name, i, { [number.field]: value }), number), list.masks && masking(one, i)));
}

/** Which detector it is, how many of its boxes are drawn at most, how sure it must be of one, and which classes count. */
function found({ detector, max = FOUND_MOST, threshold = 0.3, classes }, i, field) {
  const list = h("select", { "aria-label": T.details.ofOne(T.detector, i + 1), onchange: () => change("details", i, { detector: list.value }) },
    [...new Set([...detectors.map((row) => row.name), detector])].map((name) => h("option", { value: name }, name)));
  list.value = detector;
  // What is no number goes to the server as it is, and its sentence comes back.
  const numbers = (text) => text.match(/[^\s,]+/g)?.map((one) => (/^\d+$/.test(one) ? Number(one) : one)) ?? null;
  return [h("label", {}, T.detector, list), field(T.max, max, (value) => change("details", i, { max: value }), { min: 1, max: 16, step: 1 }),
    field(T.sure, threshold, (value) => change("details", i, { threshold: value }), { min: 0.01, max: 1, step: 0.01 }),
    h("label", {}, T.classes, h("input", { type: "text", value: classes?.join(", ") ?? "", placeholder: T.every, "aria-label": T.details.ofOne(T.classes, i + 1),
      title: detectors.find((row) => row.name === detector)?.notes?.join(" "), oninput: (event) => change("details", i, { classes: numbers(event.target.value) }) }))];
}

/** The buttons of a region: its mask is painted or taken from a file, or it is a box again. */
function masking(one, i) {
  return [
    h("button", { class: "quiet", "aria-label": T.maskOf(i + 1), onclick: async () => {
      const painted = await paintRegion({ ...await backdrop(), mask: one.mask ?? null, of: `regions ${i}` });
      if (painted) change("regions", i, { mask: painted.mask ?? undefined });
      $(`[aria-label="${T.maskOf(i + 1)}"]`)?.focus();
    } }, T.mask),
    one.mask && h("button", { class: "quiet", "aria-label": T.asBoxOf(i + 1), onclick: () => {
      change("regions", i, { mask: undefined });
      $(`[aria-label="${T.maskOf(i + 1)}"]`)?.focus();
    } }, T.asBox),
  ];
}
