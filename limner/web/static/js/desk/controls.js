// Makes the controls of the rows in `fields.js`, and keeps them and the order the same.

import { expected } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { FIELDS } from "./fields.js";
import { order } from "./order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;
const KINDS = { slider, select, segments };
const asks = [];

export function setUp() {
  $("#fields").replaceWith(...FIELDS.map((row) => KINDS[row.kind](row)));
  fold();
}

/** Fills the lists that come from the server; what cannot be asked now is asked the next time. */
export async function refresh() {
  for (const ask of asks) {
    try {
      await ask();
    } catch (error) {
      expected(error);
    }
  }
}

/** Whether what a row belongs to is off. */
const isOut = ({ within }) => Boolean(within) && (order.get()[within] ?? null) === null;

const errorLine = (row) => h("p", { class: "error", id: `${row.id}-error`, role: "alert", hidden: true });
const boxOf = (row, ...inside) => h("div", { class: row.half ? "field half" : "field", data: { field: row.name } }, inside, errorLine(row));

function slider(row) {
  const output = h("output", { id: `${row.id}-value`, for: row.id });
  const input = h("input", { type: "range", id: row.id, name: row.name, min: row.low, max: row.high, step: row.step,
    oninput: () => order.set({ [row.name]: Number(input.value) === row.rest ? null : Number(input.value) }) });
  const ticks = (row.ticks ?? []).map((mark) => tick(row, mark));
  order.watch((o) => {
    const value = o[row.name] ?? row.rest;
    // A stored picture's value may lie beyond the marks: then the slider is longer.
    input.max = Math.max(row.high, value);
    input.value = value;
    output.textContent = value;
    ticks.forEach((node, i) => node.setAttribute("aria-pressed", row.ticks[i].value === o[row.name]));
  });
  const box = boxOf(row, h("div", { class: "field-head" }, h("label", { for: row.id }, row.label), output), input,
    h("div", { class: "ticks", id: `${row.id}-presets` }, ticks));
  if (row.within) order.watch(() => { box.hidden = isOut(row); });
  return box;
}

function tick(row, { name, value, says }) {
  const at = `${((value - row.low) / (row.high - row.low)) * 100}%`;
  return h("button", { class: value === row.high ? "last" : "", style: { "--at": at }, title: says,
    "aria-label": `${name}: ${value}`, onclick: () => order.set({ [row.name]: value }) }, name);
}

function select(row) {
  const list = h("select", { id: row.id, name: row.name, "aria-describedby": `${row.id}-note`,
    onchange: () => order.set({ [row.name]: list.value === "" ? null : list.value }) });
  const note = h("p", { class: "note kept", id: `${row.id}-note` });
  let known = [];
  const show = () => {
    const value = order.get()[row.name] ?? null;
    const found = known.find((one) => one.value === value || (one.also && one.also === value));
    const chosen = found ?? { value, text: (value && row.textOf?.(value)) ?? value ?? "" };
    const rows = found ? known : [...known, chosen];
    list.replaceChildren(...rows.map((one) => h("option", { value: one.value ?? "" }, one.text)));
    list.value = chosen.value ?? "";
    note.textContent = chosen.note ?? "";
    box.hidden = rows.length < 2 || isOut(row);
  };
  const box = boxOf(row, h("label", { for: row.id }, row.label), list, note);
  order.watch((_, changed) => (changed.includes(row.name) || changed.includes(row.within)) && show());
  asks.push(async () => {
    known = await row.options();
    show();
  });
  show();
  return box;
}

function segments(row) {
  const choices = row.options.map((value) => h("input", { type: "radio", name: row.name, value, onchange: () => order.set({ [row.name]: value }) }));
  order.watch((o) => choices.forEach((input, i) => { input.checked = row.options[i] === o[row.name]; }));
  return h("fieldset", { class: row.half ? "field half" : "field", data: { field: row.name } }, h("legend", {}, row.label),
    h("div", { class: "segments", id: row.id }, choices.map((input, i) => h("label", {}, input, row.options[i]))), errorLine(row));
}

/** On a narrow screen the controls are folded and their values stand in the fold's line. */
function fold() {
  const wide = matchMedia("(min-width: 1000px)");
  const apply = () => { $("#controls").open = wide.matches; };
  wide.addEventListener("change", apply);
  apply();
  order.watch((o) => {
    $("#summary-values").textContent = `${o.img_width}×${o.img_height} · ${T.steps(o.num_inference_steps)}`;
  });
}
