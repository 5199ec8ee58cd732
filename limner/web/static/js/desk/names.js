// LoRAs and embeddings of the library by name.

import { expected, get } from "../page/api.js";
import { $, closing, dialog, foot, h, labelled } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { key } from "../page/local.js";
import { order } from "./order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;
const C = TEXTS.common;
const KINDS = {
  lora: { title: T.loras, text: (row) => [`<lora:${row.name}:1>`, ...row.trigger_words.slice(0, 1)].join(" ") },
  "textual-inversion": { title: T.embeddings, text: (row) => row.name },
};

export function setUp() {
  $("#names-open").addEventListener("click", () => key.get() && open());
}

async function open() {
  let rows;
  try {
    rows = (await get("api/models")).filter((row) => row.usable && KINDS[row.kind]);
  } catch (error) {
    expected(error);
    return errors.show(error.message);
  }
  const where = h("select", { id: "names-into" }, h("option", { value: "prompt" }, C.prompt), h("option", { value: "negative" }, C.keepOut));
  const box = dialog(T.names,
    rows.length ? labelled("names-into", T.into, where)
      : h("p", { class: "note" }, T.noNames),
    h("div", { class: "style-groups" }, Object.entries(KINDS).map(([kind, { title, text }]) => group(title, rows.filter((row) => row.kind === kind), (row) => {
      box.close();
      insert($(`#${where.value}`), text(row));
    }))),
    foot(closing(C.close)));
}

const group = (title, rows, act) => rows.length > 0 && h("section", {}, h("h3", {}, title),
  h("div", { class: "options" }, rows.map((row) => h("button", { title: row.trigger_words.join(", "), onclick: () => act(row) }, row.name))));

/** Puts a name behind what is there, with a comma between. */
function insert(area, text) {
  const name = area.name;
  const there = order.get()[name].trimEnd().replace(/,$/, "");
  order.set({ [name]: there ? `${there}, ${text}` : text });
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
}
