// Where the meaning of a prompt stands in its text: weights, edits, AND, BREAK, tags.
//
// The server reads prompts (docs/prompts.md); this reads the same language a second time because
// the layer needs places in the text as typed. tests/e2e compares the two.

import { TEXTS } from "../../texts.js";

const T = TEXTS.note;

// JavaScript's \w and \b know ASCII only; the server's know every letter.
const TAG = /<[\p{L}\p{N}_]+:[^>]+>/gu;
const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/gu;
const BRANCH_END = /\s*(?::\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*)?$/;
const SPECIAL = /\\[^]|[\\()[\]:|]/g;
const WHEN = /^\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*$/;
const TOKEN = /\\([\\()[\]])?|([([])|:\s*([-+]?[.\d]+)\s*\)|([)\]])|:|[^\\()[\]:]+/g;
const BREAK = /(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])/gu;
// A BREAK whose weight a bracket changes is the word.
const BREAK_WEIGHT = -1;

/**
 * Reads `text` for a picture of `steps` steps.
 *
 * `chars[i]` is `{weight, first}` of a character that is drawn (`first`: from the first step on),
 * or null for syntax. `edits` are `{start, end, parts, label}`, `ands`, `breaks` and `dropped`
 * places `[start, end]`.
 */
export function scan(text, steps, { negative = false } = {}) {
  const chars = new Array(text.length).fill(null);
  const found = { chars, edits: [], ands: [], breaks: [], dropped: [] };
  if (!negative) {
    found.dropped = [...text.matchAll(TAG)].map((m) => [m.index, m.index + m[0].length]);
  }
  const places = visible(text, 0, text.length, found.dropped);
  for (const branch of branches(text, places, found, negative)) readBranch(text, branch, steps, found);
  return found;
}

/** Places of the characters from `start` to `end` that lie in none of `gaps`. */
function visible(text, start, end, gaps) {
  const places = [];
  for (let i = start; i < end; i++) {
    const gap = gaps.find(([a, b]) => a <= i && i < b);
    if (gap) i = gap[1] - 1;
    else places.push(i);
  }
  return places;
}

const at = (text, places) => places.map((i) => text[i]).join("");

/** The places of each branch, without `AND` and the weight at its end. */
function branches(text, places, found, negative) {
  if (negative) return [places];
  const shown = at(text, places);
  const parts = [];
  let from = 0;
  for (const match of shown.matchAll(AND)) {
    found.ands.push([places[match.index], places[match.index + 2] + 1]);
    parts.push(places.slice(from, match.index));
    from = match.index + 3;
  }
  parts.push(places.slice(from));
  return parts.map((part) => part.slice(0, at(text, part).replace(BRANCH_END, "").length));
}

function readBranch(text, places, steps, found) {
  const shown = at(text, places);
  const choices = findChoices(shown) ?? [];
  for (const choice of choices) found.edits.push(edit(choice, places, steps));
  const views = new Set([1]);
  for (const choice of choices) {
    if (choice.when === null) choice.parts.forEach((_, i) => views.add(Math.min(i + 1, steps)));
    else views.add(Math.min(lastStep(choice, steps) + 1, steps));
  }
  for (const step of [...views].sort((a, b) => a - b)) {
    const kept = view(shown, choices, step, steps);
    for (const { place, weight, letters = 1, dropped } of weigh(at(shown, kept))) {
      const where = kept.slice(place, place + letters).map((i) => places[i]);
      if (dropped) found.dropped.push([where[0], where[0] + 1]);
      else if (letters > 1 && weight === BREAK_WEIGHT) found.breaks.push(where[0]);
      else for (const i of where) found.chars[i] ??= { weight, first: step === 1 };
    }
  }
}

function edit(choice, places, steps) {
  const last = choice.when === null ? null : lastStep(choice, steps);
  const outer = (i) => places[i] ?? places[places.length - 1] + 1;
  return {
    start: outer(choice.start), end: outer(choice.end - 1) + 1,
    parts: choice.parts.map(([a, b]) => [outer(a), outer(b)]),
    label: last === null ? T.each : T.after(last),
  };
}

function lastStep(choice, steps) {
  const when = Number(choice.when) * (choice.when.includes(".") ? steps : 1);
  return Math.trunc(Math.min(Math.max(when, 0), steps));
}

/** Places of `text` that are read at `step`. */
function view(text, choices, step, steps) {
  const jumps = new Map();
  for (const choice of choices) {
    const { parts, start, end } = choice;
    if (choice.when !== null && step <= lastStep(choice, steps) && parts.length < 2) {
      jumps.set(start, end);
      continue;
    }
    const edited = step > lastStep({ when: choice.when ?? "0" }, steps) ? parts.length - 1 : 0;
    const [a, b] = parts[choice.when === null ? (step - 1) % parts.length : edited];
    jumps.set(start, a);
    jumps.set(b, end);
  }
  const places = [];
  for (let i = 0; i < text.length; i++) {
    while (jumps.has(i) && jumps.get(i) > i) i = jumps.get(i);
    if (i < text.length) places.push(i);
  }
  return places;
}

/** Every `[a:b:when]` and `[a|b]`; null where the grammar fits nowhere and nothing is edited. */
function findChoices(text) {
  const choices = [];
  let opened = [];
  for (const match of text.matchAll(SPECIAL)) {
    const mark = match[0];
    if (mark.length === 2 && mark[1] !== "\n") continue;
    if (mark === "(" || mark === "[") {
      opened.push({ mark, start: match.index, colons: [], bars: [] });
      continue;
    }
    const inner = opened[opened.length - 1];
    let fits = false;
    if (inner && (mark === ":" || mark === "|")) fits = take(inner, mark, match.index);
    else if (inner && (mark === ")" || mark === "]")) {
      const closed = close(inner, text, mark, match.index);
      fits = closed !== null;
      if (fits) opened.pop();
      if (closed?.parts) choices.push(closed);
    }
    if (!fits) {
      if (mark[0] === "\\" || mark === "|" || opened.some((o) => o.bars.length)) return null;
      opened = [];
    }
  }
  return opened.some((o) => o.bars.length) ? null : choices;
}

function take(bracket, mark, place) {
  const bar = mark === "|";
  const fits = bar
    ? bracket.mark === "[" && !bracket.colons.length
    : bracket.colons.length < (bracket.mark === "(" ? 1 : 2) && !bracket.bars.length;
  if (fits) (bar ? bracket.bars : bracket.colons).push(place);
  return fits;
}

/** What a closing bracket makes: `{}`, a choice, or null where it closes nothing. */
function close(bracket, text, mark, place) {
  if (bracket.mark + mark !== "()" && bracket.mark + mark !== "[]") return null;
  if (bracket.mark === "(" || !(bracket.colons.length || bracket.bars.length)) return {};
  let when = null;
  if (bracket.colons.length) {
    when = WHEN.exec(text.slice(bracket.colons[bracket.colons.length - 1] + 1, place))?.[1];
    if (when === undefined) return null;
  }
  const edges = [bracket.start, ...bracket.colons, ...bracket.bars, ...(when === null ? [place] : [])];
  const parts = edges.slice(1).map((edge, i) => [edges[i] + 1, edge]);
  return { start: bracket.start, end: place + 1, parts, when };
}

/** `{place, weight}` of every character that is text, brackets resolved; `dropped` where one is left out. */
function weigh(text) {
  const pieces = [];
  const opened = { "(": [], "[": [] };
  const multiply = (from, factor) => {
    for (let i = from; i < pieces.length; i++) pieces[i].weight *= factor;
  };
  const add = (from, to) => {
    for (let place = from; place < to; place++) pieces.push({ place, weight: 1 });
  };
  for (const match of text.matchAll(TOKEN)) {
    const [token, escaped, open, weight] = match;
    const end = match.index + token.length;
    if (escaped) add(end - 1, end);
    else if (token[0] === "\\") pieces.push({ place: match.index, weight: 1, dropped: true });
    else if (open) {
      pieces.push({ place: match.index, weight: 1, hidden: true });
      opened[open].push(pieces.length);
    }
    else if (weight && opened["("].length) {
      const from = opened["("].pop();
      if (/^[-+]?(\d+\.?\d*|\.\d+)$/.test(weight)) multiply(from, Number(weight));
      else {
        pieces[from - 1].hidden = false;
        add(match.index, end);
      }
    } else if (token === ")" && opened["("].length) multiply(opened["("].pop(), 1.1);
    else if (token === "]" && opened["["].length) multiply(opened["["].pop(), 1 / 1.1);
    else addWords(token, match.index, add, pieces);
  }
  for (const [mark, factor] of [["(", 1.1], ["[", 1 / 1.1]]) opened[mark].forEach((from) => multiply(from, factor));
  return pieces.filter((piece) => !piece.hidden);
}

function addWords(token, start, add, pieces) {
  let from = start;
  for (const match of token.matchAll(BREAK)) {
    add(from, start + match.index);
    pieces.push({ place: start + match.index, weight: BREAK_WEIGHT, letters: match[0].length });
    from = start + match.index + match[0].length;
  }
  add(from, start + token.length);
}
