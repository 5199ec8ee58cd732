// The style sheet: a row of styles, one seed, one sheet.

import { $, $$, dialog, h } from "./dom.js";
import { drawSheet } from "./draw.js";
import { order, toBody } from "./order.js";
import { KINDS, loadCatalogue, namesOf } from "./styles.js";
import { key } from "./local.js";

const MOST = 8;

export function setUp() {
  $("#sheet-open").addEventListener("click", () => key.get() && open());
}

async function open() {
  await loadCatalogue();
  const names = h("div", { class: "options" });
  const kinds = h("select", { id: "sheet-kind", onchange: () => list(names, kinds.value) },
    KINDS.map(({ kind, title }) => h("option", { value: kind }, title)));
  const button = h("button", { type: "button", class: "primary", id: "sheet-draw" }, "Draw the sheet");
  const box = dialog("Style sheet", h("p", { class: "note" }, `The prompt on the desk, one seed, and a picture for each style; up to ${MOST}.`),
    h("div", { class: "field" }, h("label", { for: "sheet-kind" }, "Row"), kinds), h("div", { class: "style-groups" }, names),
    h("div", { class: "dialog-foot" }, h("button", { type: "button", onclick: () => box.close() }, "Leave"), button));
  button.addEventListener("click", () => {
    const chosen = $$("[aria-pressed=true]", names).map((node) => node.dataset.name);
    if (!chosen.length) return;
    box.close();
    draw(kinds.value, chosen);
  });
  list(names, kinds.value);
}

function list(box, kind) {
  const { list: name } = KINDS.find((k) => k.kind === kind);
  box.replaceChildren(...namesOf(name).map((style, i) => h("button", {
    type: "button", "aria-pressed": String(i < 4), data: { name: style },
    onclick: (event) => {
      const on = event.target.getAttribute("aria-pressed") === "true";
      if (!on && $$("[aria-pressed=true]", box).length >= MOST) return;
      event.target.setAttribute("aria-pressed", String(!on));
    },
  }, style)));
}

function draw(kind, names) {
  const o = order.get();
  const seed = typeof o.seed === "number" ? o.seed : Math.floor(Math.random() * 2 ** 32);
  const others = o.styles.filter((style) => style.kind !== kind);
  drawSheet(names.map((name) => ({
    label: name,
    body: toBody({ ...o, seed, locked: true, samples: 1, styles: [...others, { kind, name, weight: null }] }),
  })));
}
