// What a picture's settings brought and has no control of its own.

import { $, h } from "../page/dom.js";
import { order } from "./order.js";
import { TEXTS } from "../texts.js";

const C = TEXTS.common;
const SAYS = TEXTS.extra;

export function setUp() {
  order.watch(({ extra }, changed) => {
    if (!changed.includes("extra")) return;
    const shown = Object.entries(extra).filter(([name]) => SAYS[name]);
    $("#extra").replaceChildren(...shown.map(([name, value]) => {
      const text = SAYS[name](value, extra);
      return h("span", { class: "chip" }, text,
        h("button", { "aria-label": C.without(text), onclick: () => letGo(name) }, "×"));
    }));
  });
}

function letGo(name) {
  const { [name]: _, ...rest } = order.get().extra;
  if (name === "subseed_strength") delete rest.subseed;
  order.set({ extra: rest });
}
