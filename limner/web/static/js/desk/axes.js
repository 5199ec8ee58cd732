// The settings that a grid can vary: a row each.
//
// `name` and `label`; `only(order)`, where it is not always there; either `start`, numbers to begin
// with, or `options()`, a promise of [{value, text}]; `set(order, value)`, what changes in the order.

import { FIELDS } from "./fields.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;
const C = TEXTS.common;
const F = TEXTS.fields;
const S = TEXTS.source;
const LORA = /<(?:lora|lyco):([^:>]+):\s*([-+]?\d*\.?\d+)/;
const plain = (name) => (_, value) => ({ [name]: value });
const listed = (name, label) => ({ name, label, options: FIELDS.find((row) => row.name === name).options, set: plain(name) });

export const AXES = [
  { name: "num_inference_steps", label: F.steps, start: "10, 20, 40", set: plain("num_inference_steps") },
  { name: "guidance_scale", label: F.guidance, start: "3, 5, 8", set: plain("guidance_scale") },
  listed("scheduler", F.sampler),
  listed("schedule", F.schedule),
  { name: "seed", label: C.seed, start: "1, 2, 3", set: (_, value) => ({ seed: value }) },
  listed("model", C.model),
  {
    name: "strength", label: S.strength, start: "0.4, 0.6, 0.8", only: (o) => Boolean(o.image),
    set: (o, value) => ({ image: { ...o.image, strength: value } }),
  },
  {
    name: "lora", label: T.lora, start: "0.4, 0.7, 1", only: (o) => LORA.test(o.prompt),
    set: (o, value) => ({ prompt: o.prompt.replace(LORA, (tag, _, weight) => tag.slice(0, -weight.length) + value) }),
  },
];

const NUMBER = /^-?(\d+\.?\d*|\.\d+)$/;

/** The values that are typed for an axis of numbers, each once; a seed stays text. Raises `Error`. */
export function typed({ name, label }, text) {
  const parts = [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
  const wrong = parts.find((part) => !NUMBER.test(part));
  if (wrong !== undefined) throw new Error(T.notNumber(label, wrong));
  return parts.map((part) => ({ value: name === "seed" ? part : Number(part), text: part }));
}

/**
 * `[{order, label, columns}]` of every pair of values, row by row: `columns` and `rows` are
 * `{axis, values}`, `rows` may be null.
 */
export function cells(order, columns, rows) {
  const down = rows ?? { axis: { label: "", set: () => ({}) }, values: [{ value: null, text: "" }] };
  const word = ({ axis }, { text }) => (axis.label ? `${axis.label} ${text}` : "");
  return down.values.flatMap((y) => columns.values.map((x) => {
    const across = { ...order, ...columns.axis.set(order, x.value) };
    return {
      order: { ...across, ...down.axis.set(across, y.value) }, columns: columns.values.length,
      label: [word(columns, x), word(down, y)].filter(Boolean).join(" · "),
    };
  }));
}
