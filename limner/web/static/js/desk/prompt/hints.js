// What is legal in a prompt, and seldom meant.

const STRONG = 3;
const NUMBER = /^\s*[-+]?(\d+\.?\d*|\.\d+)\s*$/;

/** Sentences on the text as typed; `read` is what `scan` made of it. */
export function hints(text, read) {
  const told = [];
  const most = Math.max(1, ...read.chars.map((char) => Math.abs(char?.weight ?? 1)));
  if (most > STRONG) told.push(`A weight of ${Number(most.toFixed(2))} tears most pictures; 0.5 to 1.6 is usual.`);
  for (const [, tail] of text.matchAll(/\([^()[\]]*:([^()[\]:]*)\)/g)) {
    if (!NUMBER.test(tail)) told.push(`“:${tail.trim()}” is no weight, so it is drawn as words.`);
  }
  if (/(^|\s)AND\s*$/u.test(text) && read.ands.length) told.push("An AND at the end adds an empty prompt, which costs like another.");
  return told;
}
