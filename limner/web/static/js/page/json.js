// JSON whose seeds keep all their 64 bits: text in the page, numbers on the wire.

// A quote inside a JSON text has a backslash before it, so these match no prompt.
const READ = /("(?:sub)?seed"\s*:\s*)(-?\d+)(?=\s*[,}\]])/g;
const WRITTEN = /("(?:sub)?seed":\s?)"(-?\d{1,40})"/g;

/** As `JSON.parse`, with `seed` and `subseed` as text of decimal digits. */
export const parse = (text) => JSON.parse(text.replace(READ, '$1"$2"'));

/** As `JSON.stringify`, with such text written as numbers. */
export const stringify = (value, indent) => JSON.stringify(value, null, indent).replace(WRITTEN, "$1$2");

/** Any of 2^32 seeds, as text. */
export const randomSeed = () => String(crypto.getRandomValues(new Uint32Array(1))[0]);
