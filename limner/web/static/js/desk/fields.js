// The fields of the desk that are plain controls, in the order in which they stand there.
//
// A row is all that a field needs. `name` is its name on the wire and in the order, `start` its
// value on an empty desk (null is not sent), `of` its value in a stored generation, `kind` the
// control that `controls.js` makes for it. `half` puts two beside each other.
//   slider:   `low`, `high`, `step`, `ticks` as [{name, value, says}]
//   select:   `options()`, a promise of [{value, text, note}], asked for once a key is let in
//   segments: `options` as a list of values

import { get } from "../page/api.js";

// What the guide to RPG V4 names for easy, medium and hard prompts.
const GUIDE = [
  { name: "easy", steps: 50, guidance: 3 },
  { name: "medium", steps: 75, guidance: 4.5 },
  { name: "hard", steps: 150, guidance: 6 },
];
const ticks = (field) => GUIDE.map((preset) => ({
  name: preset.name, value: preset[field], says: `The guide's ${preset.name} prompts: ${preset.steps} steps, guidance ${preset.guidance}`,
}));

export const FIELDS = [
  {
    name: "num_inference_steps", id: "steps", label: "Steps", kind: "slider", start: 30, of: (g) => g.steps,
    low: 1, high: 150, step: 1, ticks: ticks("steps"),
  },
  {
    name: "guidance_scale", id: "guidance", label: "Guidance", kind: "slider", start: 4.5, of: (g) => g.guidance,
    low: 1, high: 12, step: 0.5, ticks: ticks("guidance"),
  },
  {
    name: "scheduler", id: "scheduler", label: "Scheduler", kind: "select", half: true, start: "UniPC", of: (g) => g.scheduler,
    options: schedulers,
  },
  {
    // One picture of a sheet of four is asked for again as one.
    name: "samples", id: "samples", label: "Pictures", kind: "segments", half: true, start: 1, of: () => 1,
    options: [1, 2, 3, 4],
  },
];

async function schedulers() {
  return (await get("api/schedulers")).map(({ name, good_for: note, order }) => {
    const twice = order > 1 && !/twice|double/.test(note) ? "; costs double" : "";
    return { value: name, text: order > 1 ? `${name} (costs double)` : name, note: `${note}${twice}` };
  });
}

/** `{name: value}` of every row, by `valueOf(row)`; without those that are null. */
export const valuesOf = (valueOf) => Object.fromEntries(
  FIELDS.map((row) => [row.name, valueOf(row)]).filter(([, value]) => value !== null && value !== undefined),
);
