// A grid of two settings, from one seed.

import { expected, post } from "../page/api.js";
import { $, $$, closing, debounce, dialog, foot, h, labelled } from "../page/dom.js";
import { randomSeed } from "../page/json.js";
import { key } from "../page/local.js";
import { submit } from "../tray/tray.js";
import { AXES, cells, typed } from "./axes.js";
import { order, toBody } from "./order.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.grid;
const C = TEXTS.common;
const MOST = 64; // lines that the server takes at once

export function setUp() {
  $("#grid-open").addEventListener("click", () => key.get() && open());
}

function open() {
  const now = order.get();
  const seed = /^\d+$/.test(now.seed ?? "") ? now.seed : randomSeed();
  const desk = { ...now, seed, locked: true, samples: 1 };
  const price = h("p", { class: "price", id: "grid-price", role: "status" });
  const button = h("button", { type: "submit", class: "primary", id: "grid-draw", disabled: true }, T.draw);
  let made = [];
  let turn = 0; // a price that comes late is not that of what stands there now
  const tell = debounce(async () => {
    const mine = ++turn;
    made = [];
    button.disabled = true;
    try {
      const wanted = asked(desk, columns, rows);
      const told = await priceOf(wanted);
      if (mine !== turn) return;
      price.textContent = told;
      made = wanted;
      button.disabled = !wanted.length;
    } catch (error) {
      if (mine === turn) price.textContent = error.message;
    }
  }, 300);
  const columns = axis("x", T.columns, desk, AXES[0], tell);
  const rows = axis("y", T.rows, desk, null, tell);
  const form = h("form", { onsubmit: (event) => {
    event.preventDefault();
    if (!made.length) return;
    box.close();
    submit(made.map(({ order: o, label, columns: across }) => ({ label, columns: across, body: toBody(o) })));
  } }, h("p", { class: "note" }, T.says(MOST)),
  columns.node, rows.node,
  foot(price, closing(C.leave), button));
  const box = dialog(T.title, form);
  tell();
}

/** One axis: which setting, and its values. `read()` is `{axis, values}`, or null without a setting. */
function axis(id, title, desk, first, tell) {
  const there = AXES.filter(({ only }) => !only || only(desk));
  const values = h("div", { class: "field", id: `grid-${id}-values` });
  const pick = h("select", { id: `grid-${id}` }, first ? null : h("option", { value: "" }, T.oneRow),
    there.map(({ name, label }) => h("option", { value: name }, label)));
  pick.value = first?.name ?? "";
  const chosen = () => there.find(({ name }) => name === pick.value) ?? null;
  const show = async () => {
    await fill(values, id, chosen(), tell);
    tell();
  };
  pick.addEventListener("change", show);
  show();
  return {
    node: h("div", {}, labelled(`grid-${id}`, title, pick), values),
    read: () => chosen() && { axis: chosen(), values: valuesIn(values, chosen()) },
  };
}

async function fill(box, id, row, tell) {
  if (!row) return box.replaceChildren();
  if (row.start) {
    return box.replaceChildren(h("label", { for: `grid-${id}-numbers` }, T.typed(row.label)),
      h("input", { type: "text", id: `grid-${id}-numbers`, value: row.start, autocomplete: "off", oninput: tell }));
  }
  box.replaceChildren();
  let choices = [];
  try {
    choices = await row.options();
  } catch (error) {
    expected(error);
    return box.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
  }
  return box.replaceChildren(h("div", { class: "style-groups" }, h("div", { class: "options", role: "group", "aria-label": T.values(row.label) },
    choices.map(({ value, text }, i) => Object.assign(h("button", { "aria-pressed": String(i < 2), onclick: ({ target }) => {
      target.setAttribute("aria-pressed", target.getAttribute("aria-pressed") !== "true");
      tell();
    } }, text), { choice: { value, text } })))));
}

const valuesIn = (box, row) => (row.start ? typed(row, $("input", box).value) : $$("[aria-pressed=true]", box).map((node) => node.choice));

function asked(desk, columns, rows) {
  const [x, y] = [columns.read(), rows.read()];
  if (y?.axis === x.axis) throw new Error(T.same);
  const made = cells(desk, x, y);
  if (made.length > MOST) throw new Error(T.tooMany(made.length, MOST));
  return made;
}

/** What the whole costs; what differs in the seed alone costs the same, and is asked once. */
async function priceOf(wanted) {
  const bodies = wanted.map(({ order: o }) => JSON.stringify({ ...toBody(o, { light: true }), seed: -1, base64: true }));
  const quotes = new Map();
  await Promise.all([...new Set(bodies)].map(async (body) => quotes.set(body, await post("api/quote", JSON.parse(body)))));
  const total = bodies.reduce((sum, body) => sum + quotes.get(body).micro_credits, 0);
  const pictures = bodies.reduce((sum, body) => sum + quotes.get(body).samples, 0);
  return C.cost(pictures, words.credits(total / 1e6));
}
