// The fields of the desk that are plain controls, in the order in which they stand there.
//
// A row is all that a field needs. `name` is its name on the wire and in the order, `start` its
// value on an empty desk (null is not sent), `of` its value in a stored generation, `kind` the
// control that `controls.js` makes for it. `half` puts two beside each other.
//   slider:   `low`, `high`, `step`, `ticks` as [{name, value, says}]; null stands at `rest`
//   select:   `options()`, a promise of [{value, text, note, also}], asked for once a key is let in;
//             `also` is another name of the value, and a list of one is not shown; `textOf(value)`
//             of one that is not in the list
//   segments: `options` as a list of values
// A row `within` another is shown, and sent, where that has a value.

import { get } from "../page/api.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.fields;

// What the guide to RPG V4 names for easy, medium and hard prompts.
const GUIDE = [
  { name: T.easy, steps: 50, guidance: 3 },
  { name: T.medium, steps: 75, guidance: 4.5 },
  { name: T.hard, steps: 150, guidance: 6 },
];
const ticks = (field) => GUIDE.map((preset) => ({
  name: preset.name, value: preset[field], says: T.guide(preset.name, preset.steps, preset.guidance),
}));

const LATENT = "Latent";
const BY_NAME = "by name: ";
export const LINES = "lines";
export const CHOICES = "choices";

export const FIELDS = [
  {
    // A picture's own text has its choices made.
    name: "template", id: "template", label: T.reads, kind: "select", start: null, of: () => null,
    options: async () => [
      { value: null, text: T.asWritten }, { value: CHOICES, text: T.choices, note: T.choicesSay },
      { value: LINES, text: T.eachLine, note: T.eachLineSays },
    ],
  },
  {
    name: "model", id: "choose-model", label: T.model, kind: "select", start: null, of: (g) => g.model,
    options: async () => [await own(), ...await named(["sd1", "sd1-inpainting"])].filter(notTwice),
  },
  {
    name: "vae", id: "choose-vae", label: "VAE", kind: "select", start: null, of: (g) => g.vae,
    options: async () => [{ value: null, text: T.ownVae }, ...await named(["vae"])],
  },
  {
    name: "num_inference_steps", id: "steps", label: T.steps, kind: "slider", start: 30, of: (g) => g.steps,
    low: 1, high: 150, step: 1, ticks: ticks("steps"),
  },
  {
    name: "guidance_scale", id: "guidance", label: T.guidance, kind: "slider", start: 4.5, of: (g) => g.guidance,
    low: 1, high: 12, step: 0.5, ticks: ticks("guidance"),
  },
  {
    name: "guidance_start", id: "guidance-start", label: T.guidedFrom, kind: "slider", half: true, start: null,
    of: (g) => g.guidance_start, low: 0, high: 0.95, step: 0.05, rest: 0,
  },
  {
    name: "guidance_end", id: "guidance-end", label: T.guidedUntil, kind: "slider", half: true, start: null,
    of: (g) => g.guidance_end, low: 0.05, high: 1, step: 0.05, rest: 1,
  },
  {
    name: "guidance_rescale", id: "guidance-rescale", label: T.rescale, kind: "slider", half: true, start: null,
    of: (g) => g.guidance_rescale, low: 0, high: 1, step: 0.05, rest: 0,
  },
  {
    name: "thresholding", id: "thresholding", label: T.thresholding, kind: "select", half: true, start: null,
    of: (g) => g.thresholding && JSON.stringify(g.thresholding),
    options: async () => [{ value: null, text: T.off }, ...["3", "5", "7", "9"].map((value) => ({ value, text: T.asGuidance(value) }))],
    textOf: (value) => T.asGuidance(JSON.parse(value).mimic_scale ?? value),
  },
  {
    // One list of both families: the vendor's schedulers, and samplers that take a schedule.
    name: "scheduler", id: "scheduler", label: T.sampler, kind: "select", half: true, start: "UniPC",
    of: (g) => (g.sampler ? BY_NAME + g.sampler : g.scheduler), options: methods,
  },
  {
    // One picture of a sheet of four is asked for again as one.
    name: "samples", id: "samples", label: T.pictures, kind: "segments", half: true, start: 1, of: () => 1,
    options: [1, 2, 3, 4],
  },
  {
    name: "schedule", id: "schedule", label: T.schedule, kind: "select", start: null, of: (g) => g.schedule ?? null,
    options: schedules,
  },
  {
    name: "hires", id: "hires", label: T.hires, kind: "select", start: null,
    of: (g) => (g.hires ? String(Math.round((100 * g.hires.width) / g.width) / 100) : null),
    options: async () => [
      { value: null, text: T.off, note: T.drawsOnce },
      ...["1.25", "1.5", "1.75", "2"].map((scale) => (
        { value: scale, text: T.timesAsLarge(scale), note: T.drawsTwice }
      )),
    ],
  },
  {
    name: "hires_upscaler", id: "hires-upscaler", label: T.madeLargerBy, kind: "select", half: true, within: "hires", start: null,
    of: (g) => (g.hires && g.hires.upscaler !== LATENT ? g.hires.upscaler : null),
    options: async () => [
      { value: null, text: LATENT }, ...["Lanczos", "Nearest", "Scale2x"].map((value) => ({ value, text: value })), ...await named(["upscaler"]),
    ],
  },
  {
    name: "hires_strength", id: "hires-strength", label: T.drawnAgain, kind: "slider", half: true, within: "hires", start: null,
    of: (g) => g.hires?.strength, low: 0.05, high: 1, step: 0.05, rest: 0.7,
  },
  {
    name: "tiling", id: "tiling", label: T.seamless, kind: "select", start: null, of: (g) => g.tiling ?? null,
    options: async () => [
      { value: null, text: T.off },
      { value: "xy", text: T.onAllSides, note: T.allSidesSays },
      { value: "x", text: T.leftAndRight, note: T.sideways },
      { value: "y", text: T.topAndBottom },
    ],
  },
];

async function own() {
  const about = await get("api/model");
  return { value: null, text: about.name, also: about.sha256 };
}

/** What the library has of these kinds and can be drawn with. */
async function named(kinds) {
  const usable = (await get("api/models")).filter((row) => row.usable && kinds.includes(row.kind));
  return usable.map(({ name, sha256, trigger_words: words, needs_vae: bare }) => ({
    value: name, text: name, also: sha256, note: bare ? T.needsVae : words.length ? T.words(words.slice(0, 8).join(", ")) : "",
  }));
}

/** Not the server's own model once more under its name in the library. */
const notTwice = (row, place, [first]) => place === 0 || row.also === null || row.also !== first.also;

async function methods() {
  const [schedulers, { samplers }] = await Promise.all([get("api/schedulers"), get("api/samplers")]);
  return [
    ...schedulers.map((one) => choice(one, one.name, one.name)),
    ...samplers.map((one) => choice(one, BY_NAME + one.name, T.bySchedule(one.name))),
  ];
}

function choice({ good_for: note, order }, value, name) {
  const twice = order > 1 && !/twice|double/.test(note) ? T.costsDouble : "";
  return { value, text: order > 1 ? T.withDouble(name) : name, note: `${note}${twice}` };
}

async function schedules() {
  const [automatic, ...named] = (await get("api/samplers")).schedules;
  return [
    { value: null, text: automatic, note: T.scheduleSays },
    ...named.map((name) => ({ value: name, text: name, note: T.scheduleSays })),
  ];
}

/** `{name: value}` of every row, by `valueOf(row)`; null where there is none. */
export const everyValueOf = (valueOf) => Object.fromEntries(FIELDS.map((row) => [row.name, valueOf(row) ?? null]));

/** `{name: value}` of every row, by `valueOf(row)`; without those that are null. */
export const valuesOf = (valueOf) => Object.fromEntries(
  Object.entries(everyValueOf(valueOf)).filter(([, value]) => value !== null),
);

/** The same as the API takes it. */
export function onWire(valueOf) {
  const { template, scheduler, schedule, hires, hires_upscaler: upscaler, hires_strength: strength, ...others } = valuesOf(valueOf);
  const second = { ...(upscaler && { upscaler }), ...(strength !== undefined && { strength }) };
  const rest = { ...others, ...(template && { template: true }), ...(hires && { hires: Object.keys(second).length ? { scale: Number(hires), ...second } : hires }) };
  if (!scheduler?.startsWith(BY_NAME)) return { ...rest, scheduler };
  const sampler = scheduler.slice(BY_NAME.length);
  return schedule ? { ...rest, sampler, schedule } : { ...rest, sampler };
}
