// The style sheet.

import { expected, post } from "../page/api.js";
import { $, $$, closing, dialog, foot, h, labelled } from "../page/dom.js";
import { submit } from "../tray/tray.js";
import * as errors from "../page/errors.js";
import { randomSeed } from "../page/json.js";
import { key } from "../page/local.js";
import { order, toBody } from "./order.js";
import { KINDS, loadCatalogue, namesOf } from "./styles.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.grid;
const C = TEXTS.common;
const MOST = 8;

export function setUp() {
  $("#sheet-open").addEventListener("click", () => key.get() && open());
}

async function open() {
  try {
    await loadCatalogue();
  } catch (error) {
    expected(error);
    return errors.show(error.message);
  }
  const names = h("div", { class: "options" });
  const price = h("p", { class: "price", id: "sheet-price" });
  const button = h("button", { class: "primary", id: "sheet-draw" }, T.sheet);
  const kinds = h("select", { id: "sheet-kind" }, KINDS.map(({ kind, title }) => h("option", { value: kind }, title)));
  const box = dialog(C.sheet, h("p", { class: "note" }, T.sheetSays(MOST)),
    labelled("sheet-kind", T.row, kinds), h("div", { class: "style-groups" }, names),
    foot(price, closing(C.leave), button));
  const tell = await priceTeller(names, price, button);
  kinds.addEventListener("change", () => {
    list(names, kinds.value);
    tell();
  });
  names.addEventListener("click", tell);
  button.addEventListener("click", () => {
    box.close();
    draw(kinds.value, chosen(names));
  });
  list(names, kinds.value);
  return tell();
}

const chosen = (names) => $$("[aria-pressed=true]", names).map((node) => node.dataset.name);

/** A function that says what the chosen ones would cost; nothing chosen cannot be drawn. */
async function priceTeller(names, price, button) {
  const body = toBody({ ...order.get(), samples: 1 }, { light: true });
  const quote = await post("api/quote", body).catch(() => null);
  return () => {
    const { length } = chosen(names);
    price.textContent = quote ? C.cost(length, words.credits(quote.credits * length)) : "";
    button.disabled = !length;
  };
}

function list(box, kind) {
  const { list: name } = KINDS.find((k) => k.kind === kind);
  box.replaceChildren(...namesOf(name).map((style, i) => h("button", {
    "aria-pressed": String(i < 4), data: { name: style },
    onclick: (event) => {
      const on = event.target.getAttribute("aria-pressed") === "true";
      if (!on && $$("[aria-pressed=true]", box).length >= MOST) return;
      event.target.setAttribute("aria-pressed", !on);
    },
  }, style)));
}

function draw(kind, names) {
  const o = order.get();
  const seed = /^\d+$/.test(o.seed ?? "") ? o.seed : randomSeed();
  const others = o.styles.filter((style) => style.kind !== kind);
  submit(names.map((name) => ({
    label: name,
    body: toBody({ ...o, seed, locked: true, samples: 1, styles: [...others, { kind, name, weight: null }] }),
  })));
}
