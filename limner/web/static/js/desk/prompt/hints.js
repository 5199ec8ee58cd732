// What is legal in a prompt, and seldom meant.

import { TEXTS } from "../../texts.js";

const T = TEXTS.note;
const STRONG = 3;
const NUMBER = /^\s*[-+]?(\d+\.?\d*|\.\d+)\s*$/;

/** Sentences on the text as typed; `read` is what `scan` made of it. */
export function hints(text, read) {
  const told = [];
  const most = Math.max(1, ...read.chars.map((char) => Math.abs(char?.weight ?? 1)));
  if (most > STRONG) told.push(T.strong(Number(most.toFixed(2))));
  for (const [, tail] of text.matchAll(/\([^()[\]]*:([^()[\]:]*)\)/g)) {
    if (!NUMBER.test(tail)) told.push(T.noWeight(tail.trim()));
  }
  if (/(^|\s)AND\s*$/u.test(text) && read.ands.length) told.push(T.lastAnd);
  return told;
}
