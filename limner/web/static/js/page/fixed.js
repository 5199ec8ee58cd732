// What index.html leaves out: words, by `data-t`, which names the text of an element or those of it and
// its attributes; and the line at the end of each field for what is wrong with it.

import { TEXTS } from "../texts.js";
import { $, $$, h } from "./dom.js";

const T = { ...TEXTS.common, ...TEXTS.page };

export function setUp() {
  for (const node of $$("[data-t]")) {
    const says = T[node.dataset.t];
    const { text = "", ...more } = typeof says === "string" ? { text: says } : says;
    node.prepend(text);
    for (const [name, value] of Object.entries(more)) node.setAttribute(name, value);
  }
  for (const field of $$("[data-field]")) if (!$(".error", field)) field.append(h("p", { class: "error", role: "alert", hidden: true }));
}
