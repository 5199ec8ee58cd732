// The seed: random until it is typed, rolled or locked.

import { $ } from "../page/dom.js";
import { randomSeed } from "../page/json.js";
import { order } from "./order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;

export function setUp() {
  const [input, dice, lock] = [$("#seed"), $("#dice"), $("#lock")];
  input.addEventListener("input", () => {
    const text = input.value.trim();
    if (!text) return order.set({ seed: null, locked: false });
    // What is no number goes to the server as it is, and its sentence comes back.
    return order.set({ seed: text, locked: true });
  });
  dice.addEventListener("click", () => order.set({ seed: randomSeed(), locked: true }));
  lock.addEventListener("click", () => {
    const { seed, locked } = order.get();
    order.set(locked ? { locked: false } : { locked: true, seed: seed ?? randomSeed() });
  });
  order.watch((o) => {
    const text = o.seed ?? "";
    if (input.value.trim() !== text) input.value = text;
    input.closest(".seed").classList.toggle("loose", !o.locked);
    lock.setAttribute("aria-pressed", o.locked);
    $("#seed-note").textContent = !/^\d+$/.test(text) ? "" : o.locked ? T.seedKept : T.seedLast;
  });
}

/** After a drawing: shows the seed it used, unless another is locked. */
export function used(seed) {
  if (!order.get().locked) order.set({ seed });
}
