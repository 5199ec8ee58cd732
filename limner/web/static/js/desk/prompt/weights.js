// Ctrl+Up and Ctrl+Down: the weight of the selection, or of the word at the caret.

const WRAPPED = /^\(([^]*):\s*([-+]?\d*\.?\d+)\s*\)$/;
const WORD = /[\p{L}\p{N}\p{M}'’-]/u;

/** Changes the weight by `step`; a weight of 1 needs no bracket. Undo works as for typing. */
export function reweigh(area, step) {
  const { text, start, end } = reweighed(area.value, area.selectionStart, area.selectionEnd, step);
  if (text === null) return;
  area.setSelectionRange(start, end);
  if (!document.execCommand("insertText", false, text)) area.setRangeText(text, start, end);
  const wrapped = WRAPPED.exec(text);
  const from = start + (wrapped ? 1 : 0);
  area.setSelectionRange(from, from + (wrapped ? wrapped[1].length : text.length));
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

/** What to put in place of `value[start:end]`; `text` is null where there is no word. */
export function reweighed(value, from, to, step) {
  let [start, end] = from === to ? bracketAt(value, from) ?? wordAt(value, from) : trimmed(value, from, to);
  if (start === end) return { text: null, start, end };
  let words = value.slice(start, end);
  let weight = 1;
  const inside = WRAPPED.exec(words);
  const tail = /^:\s*([-+]?\d*\.?\d+)\s*\)/.exec(value.slice(end));
  if (inside && balanced(inside[1])) [words, weight] = [inside[1], Number(inside[2])];
  else if (value[start - 1] === "(" && tail) {
    weight = Number(tail[1]);
    start -= 1;
    end += tail[0].length;
  }
  weight = Math.round((weight + step) * 100) / 100;
  return { text: weight === 1 ? words : `(${words}:${weight})`, start, end };
}

/** The innermost `(words:weight)` round a place: its weight is the one to change. */
function bracketAt(value, at) {
  let found = null;
  for (const { index, 0: { length } } of value.matchAll(/(?<!\\)\([^()]*:\s*[-+]?\d*\.?\d+\s*\)/g)) {
    if (index < at && at < index + length) found = [index, index + length];
  }
  return found;
}

function wordAt(value, at) {
  let [start, end] = [at, at];
  while (start > 0 && WORD.test(value[start - 1])) start--;
  while (end < value.length && WORD.test(value[end])) end++;
  return [start, end];
}

function trimmed(value, from, to) {
  const text = value.slice(from, to);
  return [from + text.length - text.trimStart().length, to - (text.length - text.trimEnd().length)];
}

function balanced(text) {
  let depth = 0;
  for (const mark of text) {
    if (mark === "(") depth++;
    if (mark === ")" && --depth < 0) return false;
  }
  return depth === 0;
}
