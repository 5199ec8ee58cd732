// The page's words: English, until `start.js` has another language spoken.

import { TEXTS as ENGLISH } from "./texts/en.js";

export let TEXTS = ENGLISH;

/** Puts a language's words in place of the English ones; what it lacks stays English. */
export function speak(words) {
  TEXTS = over(ENGLISH, words);
}

const over = (said, other) => (other === undefined ? said : said.constructor !== Object ? other
  : Object.fromEntries(Object.entries(said).map(([name, text]) => [name, over(text, other[name])])));
