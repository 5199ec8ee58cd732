// What was loaded with a picture's settings and has no control of its own: shown, and let go.

import { $, h } from "../page/dom.js";
import { order } from "./order.js";

const SAYS = {
  clip_skip: (value) => `clip skip ${value}`,
  exact: () => "drawn by itself, to the bit",
  noise_source: (value) => `noise of ${value}`,
  eta_noise_seed_delta: (value) => `noise on the way of the seed + ${value}`,
  loras: (value) => (value.length === 1 ? "a LoRA" : `${value.length} LoRAs`),
  sd_upscale: ({ scale }) => `${Math.round(10 * scale) / 10} times as large, in tiles`,
  subseed_strength: (value, { subseed }) => `${value} of seed ${subseed}’s noise`,
};

export function setUp() {
  order.watch(({ extra }, changed) => {
    if (!changed.includes("extra")) return;
    const shown = Object.entries(extra).filter(([name]) => SAYS[name]);
    $("#extra").replaceChildren(...shown.map(([name, value]) => {
      const text = SAYS[name](value, extra);
      return h("span", { class: "chip" }, text,
        h("button", { "aria-label": `Without ${text}`, onclick: () => letGo(name) }, "×"));
    }));
  });
}

function letGo(name) {
  const { [name]: _, ...rest } = order.get().extra;
  if (name === "subseed_strength") delete rest.subseed;
  order.set({ extra: rest });
}
