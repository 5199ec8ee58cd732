// CLIP's tokens, as the server's explanation names them, found again in the text as typed.

const END = "</w>";
const bytes = new TextEncoder();

/**
 * `{token, weight, start, end, chunk}` for each of the explanation's tokens.
 *
 * A token's letters are the bytes of its text (byte-level BPE), so lengths are all that is needed.
 * The second and later vectors of an embedding stand for no text, and are left out.
 * `places` are those of the characters drawn from the first step on, in order.
 */
export function place(text, places, chunks) {
  const placed = [];
  let at = 0;
  const skip = () => {
    while (at < places.length && /\s/u.test(text[places[at]])) at++;
  };
  chunks.forEach((chunk, number) => chunk.forEach(([token, weight]) => {
    if (!token) return;
    skip();
    const start = places[at];
    let left = token.endsWith(END) ? token.length - END.length : token.length;
    while (left > 0 && at < places.length) left -= width(text, places[at++]);
    if (start !== undefined) placed.push({ token, weight, start, end: places[at - 1] + 1, chunk: number });
  }));
  return placed;
}

/** Bytes of the UTF-16 unit at `i`; a surrogate pair's four bytes count two for each half. */
function width(text, i) {
  const code = text.charCodeAt(i);
  return code >= 0xd800 && code <= 0xdfff ? 2 : bytes.encode(text[i].toLowerCase()).length;
}

/** The words that tokens make: `{text, start, end, weight, pieces}`; a piece is a token's text. */
export function words(text, placed) {
  const made = [];
  let open = null;
  for (const token of placed) {
    open ??= { start: token.start, weight: token.weight, pieces: [] };
    open.pieces.push(text.slice(token.start, token.end));
    open.end = token.end;
    if (token.token.endsWith(END)) {
      made.push({ ...open, text: text.slice(open.start, open.end) });
      open = null;
    }
  }
  return made;
}
