// What the drawing follows: pictures and poses, each with how and how much.

import { onEnter } from "../account/account.js";
import { expected, get, post } from "../page/api.js";
import { $, debounce, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { keepFocus } from "../page/focus.js";
import { key } from "../page/local.js";
import { TEXTS } from "../texts.js";
import { order } from "./order.js";
import { askForPose } from "./pose.js";
import { dataUri } from "./source/source.js";

const T = TEXTS.guides;
const S = TEXTS.source;
const MOST = 4;
const BYTES_MAX = 24 * 2 ** 20;
const NUMBERS = [{ field: "weight", most: 2 }, { field: "start", most: 1 }, { field: "end", most: 1 }];
const POSE = /pose/i; // in the names of files that were taught skeletons
let models = [];
let preprocessors = [];

export function setUp() {
  $("#guide-file").addEventListener("change", (event) => {
    add(event.target.files[0]);
    event.target.value = "";
  });
  $("#guide-pose").addEventListener("click", addPose);
  onEnter(learn);
  order.watch((o, changed) => {
    if (!changed.includes("controls")) return;
    show(o);
    learn();
  });
}

/** What was followed before a reload needs the lists, too, whichever is there first: it or the key. */
async function learn() {
  if (!order.get().controls.length || models.length || !key.get()) return;
  if (await attempt(ask) && models.length) show(order.get());
}

/** Asks what there is to choose from, once. */
async function ask() {
  if (models.length || !key.get()) return;
  const [rows, makers] = await Promise.all([get("api/models"), get("api/preprocessors")]);
  models = rows.filter((row) => row.usable && ["controlnet", "t2i-adapter"].includes(row.kind)).map((row) => row.name);
  preprocessors = makers;
}

/** Whether `work` was done; a refusal stands beside the field. */
async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    expected(error);
    errors.show(`controls: ${error.message}`);
    return false;
  }
}

/** Whether one more can be followed; says why not. */
async function hasRoom() {
  errors.clear("controls");
  if (!await attempt(ask)) return false;
  if (!models.length) errors.show(T.none);
  else if (order.get().controls.length >= MOST) errors.show(T.many(MOST));
  else return true;
  return false;
}

async function add(file) {
  if (!file || !await hasRoom()) return;
  if (file.size > BYTES_MAX) return errors.show(T.large(Math.round(file.size / 2 ** 20)));
  append({ name: models[0], image: await dataUri(file), preprocessor: null, options: {} });
}

async function addPose() {
  if (!await hasRoom()) return;
  const made = await askForPose();
  if (made) append({ name: models.find((name) => POSE.test(name)) ?? models[0], ...made });
  else $("#guide-pose").focus();
}

function append(one) {
  order.set({ controls: [...order.get().controls, { ...one, mode: "balanced", weight: 1, start: 0, end: 1 }] });
  $("#guides li:last-child select")?.focus();
}

function change(i, patch) {
  order.set({ controls: order.get().controls.map((one, n) => (n === i ? { ...one, ...patch } : one)) });
  preview(i);
}

function show({ controls }) {
  const list = $("#guides");
  if (list.children.length === controls.length && list.contains(document.activeElement)) return;
  keepFocus(list, () => list.replaceChildren(...controls.map(row)));
  controls.forEach((_, i) => preview(i));
}

function row(one, i) {
  const name = (says) => T.ofOne(says, i + 1);
  const choice = (says, value, options, put) => {
    const list = h("select", { "aria-label": name(says), onchange: () => put(list.value) }, options.map(([each, text]) => h("option", { value: each }, text)));
    list.value = value;
    return h("label", {}, says, list);
  };
  const number = (says, value, more, put) => h("label", {}, says, h("input", { type: "number", value, "aria-label": name(says), ...more,
    oninput: (event) => event.target.value !== "" && put(Number(event.target.value)) }));
  const options = h("div", { class: "numbers" });
  // What each preprocessor takes is the server's to say.
  const fill = (chosen) => options.replaceChildren(...Object.entries(preprocessors.find((each) => each.name === chosen)?.options ?? {}).map(
    ([says, { default: usual, low, high }]) => number(says, order.get().controls[i]?.options?.[says] ?? usual, { min: low, max: high, step: "any" },
      (value) => change(i, { options: { ...order.get().controls[i].options, [says]: value } }))));
  fill(one.preprocessor);
  const made = one.pose
    ? [h("button", { class: "quiet", "aria-label": T.posedOf(i + 1), onclick: () => pose(i) }, T.posed)]
    : [choice(T.mapBy, one.preprocessor ?? "", [["", T.itself], ...preprocessors.map((each) => [each.name, each.name])], (chosen) => {
      change(i, { preprocessor: chosen || null, options: {} });
      fill(chosen);
    }), options, choice(S.resize, one.resize_mode ?? "crop", ["crop", "fill", "stretch"].map((each) => [each, S[each]]), (resize) => change(i, { resize_mode: resize }))];
  return h("li", {}, h("div", { class: "seen" }, h("img", { src: one.image, alt: (one.pose ? T.pose : T.picture)(i + 1) }), h("img", { class: "map", alt: T.map(i + 1), hidden: true })), h("div", {},
    choice(T.model, one.name, [...new Set([...models, one.name])].map((each) => [each, each]), (chosen) => change(i, { name: chosen })),
    made, choice(T.mode, one.mode ?? "balanced", Object.entries(T.modes), (mode) => change(i, { mode })),
    h("div", { class: "numbers" }, NUMBERS.map(({ field, most }) => number(T[field], one[field], { min: 0, max: most, step: 0.05 }, (value) => change(i, { [field]: value }))),
      h("button", { class: "icon", "aria-label": T.without(i + 1), onclick: () => {
        order.set({ controls: order.get().controls.filter((_, n) => n !== i) });
        $("#guide-file").focus();
      } }, "×"))));
}

async function pose(i) {
  const made = await askForPose(order.get().controls[i].pose);
  if (made) change(i, made);
  show(order.get());
  $(`[aria-label="${T.posedOf(i + 1)}"]`)?.focus();
}

/** The map as the server makes it of the picture now, beside it. */
const previews = new Map();
function preview(i) {
  if (!previews.has(i)) previews.set(i, debounce(() => fetchMap(i), 300));
  previews.get(i)();
}

async function fetchMap(i) {
  const { img_width: width, img_height: height, controls: { [i]: one } } = order.get();
  const node = $(`#guides li:nth-child(${i + 1}) .map`);
  if (!node) return;
  if (!one?.preprocessor) {
    Object.assign(node, { hidden: true, made: null });
    return;
  }
  const { image, preprocessor, options, resize_mode: resize } = one;
  const wanted = JSON.stringify([preprocessor, options, resize, width, height]);
  if (node.made === wanted) return; // a weight makes no other map
  node.made = wanted;
  await attempt(async () => {
    const made = await post("api/preprocess", { image, preprocessor, options: options ?? {}, resize_mode: resize, width, height, base64: true });
    if (node.made !== wanted) return; // changed in the meantime
    node.src = `data:image/png;base64,${made.image}`;
    node.hidden = false;
  });
}
