// Steps, guidance, scheduler, pictures: each says what it does and what it costs.

import { get } from "./api.js";
import { $, h } from "./dom.js";
import { LIMITS, order } from "./order.js";

// What the guide to RPG V4 names for easy, medium and hard prompts.
const PRESETS = [
  { name: "easy", steps: 50, guidance: 3 },
  { name: "medium", steps: 75, guidance: 4.5 },
  { name: "hard", steps: 150, guidance: 6 },
];
let known = [];

export function setUp() {
  slider("steps", "num_inference_steps", (preset) => preset.steps);
  slider("guidance", "guidance_scale", (preset) => preset.guidance);
  setUpScheduler();
  setUpSamples();
  fold();
}

/** Fills the scheduler's list from the server. */
export async function refresh() {
  known = await get("api/schedulers");
  showSchedulers();
}

function slider(id, name, valueOf) {
  const input = $(`#${id}`);
  const output = $(`#${id}-value`);
  const [low, high] = [Number(input.min), Number(input.max)];
  input.addEventListener("input", () => order.set({ [name]: Number(input.value) }));
  const ticks = PRESETS.map((preset) => {
    const value = valueOf(preset);
    const at = `${((value - low) / (high - low)) * 100}%`;
    return h("button", {
      type: "button", class: value === high ? "last" : "", style: { "--at": at }, title: `The guide's ${preset.name} prompts: ${preset.steps} steps, guidance ${preset.guidance}`,
      "aria-label": `${preset.name}: ${value}`, data: { value }, onclick: () => order.set({ [name]: value }),
    }, preset.name);
  });
  $(`#${id}-presets`).append(...ticks);
  order.watch((o) => {
    input.max = Math.max(high, o[name]);
    input.value = o[name];
    output.textContent = o[name];
    for (const tick of ticks) tick.setAttribute("aria-pressed", String(Number(tick.dataset.value) === o[name]));
  });
}

function setUpScheduler() {
  const select = $("#scheduler");
  select.addEventListener("change", () => order.set({ scheduler: select.value }));
  order.watch((_, changed) => changed.includes("scheduler") && showSchedulers());
}

function showSchedulers() {
  const select = $("#scheduler");
  const { scheduler } = order.get();
  const names = known.length ? known : [{ name: scheduler, good_for: "", order: 1 }];
  if (select.options.length !== names.length) {
    select.replaceChildren(...names.map((s) => h("option", { value: s.name }, s.order > 1 ? `${s.name} (costs double)` : s.name)));
  }
  select.value = scheduler;
  const chosen = names.find((s) => s.name === scheduler);
  const twice = chosen?.order > 1 && !/twice|double/.test(chosen.good_for) ? "; costs double" : "";
  $("#scheduler-note").textContent = chosen?.good_for ? `${chosen.good_for}${twice}` : "";
}

function setUpSamples() {
  const options = Array.from({ length: LIMITS.samples }, (_, i) => i + 1);
  $("#samples").append(...options.map((n) => h("label", {},
    h("input", { type: "radio", name: "samples", value: n, onchange: () => order.set({ samples: n }) }), String(n))));
  order.watch((o) => {
    const input = $(`#samples input[value="${o.samples}"]`);
    if (input) input.checked = true;
  });
}

/** On a narrow screen the controls are folded and their values stand in the fold's line. */
function fold() {
  const wide = matchMedia("(min-width: 1000px)");
  const apply = () => { $("#controls").open = wide.matches; };
  wide.addEventListener("change", apply);
  apply();
  order.watch((o) => {
    $("#summary-values").textContent = `${o.img_width}×${o.img_height} · ${o.num_inference_steps} steps`;
  });
}
