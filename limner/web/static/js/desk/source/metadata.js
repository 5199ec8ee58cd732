// The receipt inside a picture of ours, and whether another's says how it was made: PNG's text chunk `limner`, EXIF's MakerNote elsewhere.

import { parse } from "../../page/json.js";

const PNG = [0x89, 0x50, 0x4e, 0x47];
const MAKER = "Limner\0\0";

/** The receipt as an object, or null for pictures of others. */
export function readReceipt(bytes) {
  const text = PNG.every((byte, i) => bytes[i] === byte) ? pngText(bytes) : makerNote(bytes);
  try {
    const receipt = parse(text);
    return receipt?.parameters?.prompt === undefined ? null : receipt;
  } catch {
    return null;
  }
}

/** Whether the file seems to hold settings as AUTOMATIC1111 and its kin write them; the server reads them. */
export function saysSettings(bytes) {
  const text = latin(bytes, 0, Math.min(bytes.length, 1 << 18)).replaceAll("\0", "");
  return text.includes("Steps: ") || text.includes("parameters");
}

/** PNG specification, 11.3.3.2: tEXt is keyword, zero, Latin-1 text; the receipt is ASCII. */
function pngText(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const type = latin(bytes, at + 4, at + 8);
    if (type === "tEXt" && latin(bytes, at + 8, at + 15) === "limner\0") return latin(bytes, at + 15, at + 8 + length);
    at += length + 12;
  }
  return "";
}

/** The note is one JSON object of ASCII after its maker's name, wherever the EXIF block lies. */
function makerNote(bytes) {
  const text = latin(bytes, 0, Math.min(bytes.length, 1 << 18)) + latin(bytes, Math.max(1 << 18, bytes.length - (1 << 17)), bytes.length);
  const start = text.indexOf(MAKER);
  return start < 0 ? "" : object(text, start + MAKER.length);
}

/** The JSON object that begins at `start`. */
function object(text, start) {
  let [depth, quoted] = [0, false];
  for (let i = start; i < text.length; i++) {
    const mark = text[i];
    if (quoted && mark === "\\") i++;
    else if (mark === '"') quoted = !quoted;
    else if (!quoted && mark === "{") depth++;
    else if (!quoted && mark === "}" && --depth === 0) return text.slice(start, i + 1);
  }
  return "";
}

function latin(bytes, from, to) {
  let text = "";
  for (let at = from; at < to; at += 8192) text += String.fromCharCode(...bytes.subarray(at, Math.min(at + 8192, to)));
  return text;
}
