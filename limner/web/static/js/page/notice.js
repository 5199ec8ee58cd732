// A line that says what was done, with a way to undo it.

import { $, h } from "./dom.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.says;
const STAYS_MS = 12_000;
let timer = 0;

/** Says `text`; with `word` a button that calls `act`. */
export function notice(text, word = null, act = null) {
  const box = $("#notice");
  const button = word && h("button", { onclick: () => {
    close();
    attempt(act);
  } }, word);
  const shut = h("button", { class: "quiet", "aria-label": T.closeNotice, onclick: close }, "✕");
  box.replaceChildren(h("span", {}, text), ...(button ? [button] : []), shut);
  box.hidden = false;
  wait();
  // Who reads it or is about to press keeps it.
  box.onpointerenter = box.onfocusin = () => clearTimeout(timer);
  box.onpointerleave = box.onfocusout = wait;
}

/** Does it; a refusal is told where what was done is told. */
export async function attempt(act) {
  try {
    await act();
  } catch (error) {
    notice(error.message);
  }
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(close, STAYS_MS);
}

function close() {
  clearTimeout(timer);
  $("#notice").hidden = true;
}
