// The prompt field: a textarea, and behind it a layer that shows what the server reads.

import { expected, post } from "../../page/api.js";
import { $, debounce, h } from "../../page/dom.js";
import { key } from "../../page/local.js";
import { order, toBody } from "../order.js";
import { mix } from "../styles.js";
import { hints } from "./hints.js";
import { scan } from "./scan.js";
import { place, words } from "./tokens.js";
import { reweigh } from "./weights.js";
import { TEXTS } from "../../texts.js";

const T = TEXTS.note;
const WORDS_EACH = 75;
const READ = ["prompt", "negative_prompt", "num_inference_steps", "scheduler", "image", "styles", "seed", "locked"];
const fields = {};

/** Sets up both fields; `draw` and `cancel` answer Ctrl+Enter and Escape. */
export function setUp({ draw, cancel }) {
  for (const [id, name] of [["prompt", "prompt"], ["negative", "negative_prompt"]]) {
    fields[name] = makeField($(`#${id}`), name);
  }
  document.addEventListener("keydown", (event) => {
    if ($("dialog[open]") || document.body.dataset.place !== "desk") return; // what is open owns the keyboard
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat) draw();
    } else if (event.key === "Escape") cancel();
  });
  order.watch((o, changed) => {
    for (const field of Object.values(fields)) field.show(o);
    if (changed.some((name) => READ.includes(name))) explain();
  });
}

/** Asks the server again, as when a key has just been given. */
export const refresh = () => explain();

let asked = 0;
const explain = debounce(async () => {
  const o = order.get();
  if (!o.prompt.trim() || !key.get()) return;
  const mine = ++asked;
  try {
    // base64: an answer with room for every sample, as the drawing has.
    const body = { ...toBody({ ...o, styles: [] }, { light: true }), base64: true };
    const told = await post("api/explain", body);
    if (mine !== asked) return;
    fields.prompt.explained(o.prompt, told);
    fields.negative_prompt.explained(o.negative_prompt, told.negative);
    const mixed = await mix(o, () => mine === asked);
    const drawn = mixed ? await post("api/explain", { ...body, ...mixed }) : told;
    if (mine !== asked) return;
    count(fields.prompt, o.prompt, drawn);
    count(fields.negative_prompt, o.negative_prompt, drawn.negative);
  } catch (error) {
    expected(error);
    // What is wrong is said when it is drawn or priced; the layer keeps what it knows.
  }
}, 300);

function makeField(area, name) {
  const box = area.closest(".field");
  const field = { area, name, layer: $(".layer", box), note: $(".note", box), count: $(".count", box), told: null, hints: [], text: null, steps: 0 };
  // Two lines are kept for it; a longer one shows all of itself to a click.
  field.note.addEventListener("click", () => field.note.classList.toggle("whole"));
  area.addEventListener("input", () => order.set({ [name]: area.value }));
  area.addEventListener("scroll", () => { field.layer.scrollTop = area.scrollTop; });
  area.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
    if (step && (event.ctrlKey || event.metaKey) && !event.altKey) {
      event.preventDefault();
      reweigh(area, step);
    }
  });
  for (const type of ["keyup", "click", "focus"]) area.addEventListener(type, () => pointAt(field, area.selectionStart));
  area.addEventListener("blur", () => pointAt(field, null));
  area.addEventListener("mousemove", debounce((event) => hover(field, event), 30));
  area.addEventListener("mouseleave", () => pointAt(field, document.activeElement === area ? area.selectionStart : null));
  field.show = (o) => show(field, o);
  field.explained = (text, told) => explained(field, text, told);
  return field;
}

function show(field, o) {
  const text = o[field.name];
  if (field.area.value !== text) field.area.value = text;
  if (field.text === text && field.steps === o.num_inference_steps) return;
  Object.assign(field, { text, steps: o.num_inference_steps });
  if (!text.trim()) field.count.textContent = "";
  paint(field);
  if (field.hints.length) showNote(field);
}

function explained(field, text, told) {
  if (text !== field.text) return;
  field.told = { text, ...told };
  paint(field);
  showNote(field);
}

/** The tokens that are encoded: the field's `text`, and what the chosen styles add to it. */
function count(field, text, { chunks }) {
  if (text !== field.text) return;
  const tokens = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  field.count.textContent = tokens ? `${tokens} / ${WORDS_EACH * chunks.length}` : "";
  field.count.title = T.chunks(chunks.length, WORDS_EACH);
}

/** The layer: the text again, cut wherever what it means changes. */
function paint(field) {
  const { text } = field;
  const read = scan(text, field.steps, { negative: field.name !== "prompt" });
  field.hints = hints(text, read);
  const first = [];
  read.chars.forEach((char, i) => char?.first && first.push(i));
  const placed = field.told?.text === text ? place(text, first, field.told.chunks) : [];
  field.words = words(text, placed);
  const starts = new Set(placed.filter((t, i) => i && t.chunk !== placed[i - 1].chunk
    && !read.ands.some(([a]) => placed[i - 1].end <= a && a < t.start)).map((t) => t.start));
  const strange = unlearned(field, text);
  const pieces = [];
  for (let i = 0; i < text.length; i++) {
    const look = lookAt(read, i, starts, strange);
    const previous = pieces[pieces.length - 1];
    if (previous && previous.look.id === look.id && !look.fresh) previous.text += text[i];
    else pieces.push({ look, text: text[i] });
  }
  field.layer.replaceChildren(...pieces.map(({ look, text: part }) => (look.id
    ? h("span", { class: look.id.replace(/@\S+/g, "").trim(), style: { "--size": look.size }, "data-mark": look.mark }, part)
    : part)), "​");
  field.layer.scrollTop = field.area.scrollTop;
}

/** Where the words stand that the loaded model was never taught: `[start, end]` of each. */
function unlearned(field, text) {
  const strange = new Set(field.told?.text === text ? field.told.unlearned ?? [] : []);
  return strange.size ? field.words.filter((w) => strange.has(w.text.toLowerCase())).map((w) => [w.start, w.end]) : [];
}

/** Classes of the character at `i`; `fresh` where a piece must begin. */
function lookAt(read, i, starts, strange) {
  const names = [];
  const size = Math.min(6, Math.max(0, Math.abs(Math.log(Math.abs(read.chars[i]?.weight ?? 1) || 0.01)) / Math.log(1.1))) * 0.5;
  const weight = read.chars[i]?.weight ?? 1;
  if (Math.abs(weight - 1) > 1e-6) names.push("w", weight > 1 ? "up" : "down", `@${weight.toFixed(3)}`);
  let mark = null;
  for (const edit of read.edits) {
    const part = edit.parts.findIndex(([a, b]) => a <= i && i < b);
    if (part < 0) continue;
    const after = part > 0 || (edit.parts.length === 1);
    names.push(after ? "after" : "before");
    if (after && edit.parts[part][0] === i) {
      mark = edit.label;
      names.push("edit-mark");
    }
  }
  if (read.ands.some(([a, b]) => a <= i && i < b)) names.push("and");
  if (read.dropped.some(([a, b]) => a <= i && i < b)) names.push("dropped");
  if (starts.has(i)) names.push("chunk");
  if (strange.some(([a, b]) => a <= i && i < b)) names.push("unlearned");
  return { id: names.join(" "), size, mark, fresh: mark !== null || starts.has(i) };
}

/** What stands under the field: the word pointed at, else what the server does differently. */
function showNote(field) {
  const notes = field.told?.text === field.text ? field.told.adjustments : [];
  field.note.textContent = [...field.hints, ...notes].join(" ");
}

function pointAt(field, index) {
  const word = index === null ? null : field.words?.find((w) => w.start <= index && index <= w.end);
  if (!word) return showNote(field);
  const weight = word.weight === 1 ? "" : T.weight(Number(word.weight.toFixed(3)));
  const strange = unlearned(field, field.text).some(([a]) => a === word.start) ? T.strange : "";
  field.note.textContent = `${T.tokens(word.text, word.pieces)}${weight}${strange}`;
}

/** The mouse is over the textarea; the same place in the layer tells which character. */
function hover(field, event) {
  field.area.style.pointerEvents = "none";
  field.layer.style.pointerEvents = "auto";
  const caret = document.caretPositionFromPoint?.(event.clientX, event.clientY);
  const range = caret ? { node: caret.offsetNode, offset: caret.offset }
    : (({ startContainer, startOffset }) => ({ node: startContainer, offset: startOffset }))(document.caretRangeFromPoint?.(event.clientX, event.clientY) ?? {});
  field.area.style.pointerEvents = "";
  field.layer.style.pointerEvents = "";
  if (!range.node || !field.layer.contains(range.node)) return;
  const before = document.createRange();
  before.setStart(field.layer, 0);
  before.setEnd(range.node, range.offset);
  pointAt(field, before.toString().length);
}
