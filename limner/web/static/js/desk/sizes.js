// Sizes as small rectangles, and any other that the server draws.

import { $, $$, h } from "../page/dom.js";
import { LIMITS, order } from "./order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;
const SHOWN = [[512, 512], [512, 768], [768, 512], [768, 768], [1024, 576], [576, 1024], [1024, 1024]];
const PIXELS = 34 / 1024;

export function setUp() {
  const other = h("div", { class: "other-size" }, T.or, side("img_width", T.width), "×", side("img_height", T.height));
  $("#sizes").append(...SHOWN.map(choice));
  $("#sizes").after(other);
  order.watch((o) => {
    for (const input of $$("#sizes input")) input.checked = input.value === `${o.img_width}x${o.img_height}`;
    for (const select of $$("select", other)) select.value = o[select.name];
  });
}

function choice([width, height]) {
  const box = h("i", {});
  box.style.width = `${width * PIXELS}px`;
  box.style.height = `${height * PIXELS}px`;
  return h("label", { title: T.pixels(width, height) },
    h("input", { type: "radio", name: "size", value: `${width}x${height}`, "aria-label": T.by(width, height),
      onchange: () => order.set({ img_width: width, img_height: height }) }),
    box, `${width}`, h("br"), `${height}`);
}

function side(name, label) {
  const [low, high] = LIMITS.side;
  const values = [];
  for (let n = low; n <= high; n += LIMITS.sideStep) values.push(n);
  return h("select", { name, "aria-label": label, onchange: (event) => order.set({ [name]: Number(event.target.value) }) },
    values.map((n) => h("option", { value: n }, n)));
}
