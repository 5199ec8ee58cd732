// The seed: random at each drawing, until it is typed, rolled or locked.

import { $ } from "./dom.js";
import { order } from "./order.js";

const MOST = 999_999_999_999_999;

export function setUp() {
  const [input, dice, lock] = [$("#seed"), $("#dice"), $("#lock")];
  input.addEventListener("input", () => {
    const text = input.value.trim();
    if (!text) return order.set({ seed: null, locked: false });
    // What is no number goes to the server as it is, and its sentence comes back.
    return order.set({ seed: /^\d{1,15}$/.test(text) ? Number(text) : text, locked: true });
  });
  dice.addEventListener("click", () => order.set({ seed: Math.floor(Math.random() * 2 ** 32), locked: true }));
  lock.addEventListener("click", () => {
    const { seed, locked } = order.get();
    order.set(locked ? { locked: false } : { locked: true, seed: seed ?? Math.floor(Math.random() * 2 ** 32) });
  });
  order.watch((o) => {
    const text = o.seed === null ? "" : String(o.seed);
    if (input.value.trim() !== text) input.value = text;
    input.closest(".seed").classList.toggle("loose", !o.locked);
    lock.setAttribute("aria-pressed", String(o.locked));
    $("#seed-note").textContent = typeof o.seed !== "number" ? "" : o.locked ? "Kept for every drawing." : "The last one; the next is random.";
  });
}

/** After a drawing: shows the seed it used, unless another is locked. */
export function used(seed) {
  if (!order.get().locked && seed <= MOST) order.set({ seed });
}
