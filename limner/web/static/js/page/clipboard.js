// Copying, also without https, where browsers have no navigator.clipboard.

import { h } from "./dom.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.says;

/** Copies `text`; true when it is on the clipboard. `near` is in the dialog that is open, if one is. */
export async function copy(text, near = document.body) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text, near);
  }
}

function copyBySelection(text, near) {
  const before = document.activeElement;
  // Only what is inside an open dialog can be selected.
  const area = h("textarea", { class: "sr", readonly: true, "aria-hidden": "true", tabindex: -1 });
  area.value = text;
  (near.closest?.("dialog") ?? document.body).append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } finally {
    area.remove();
    before?.focus();
  }
}

/** Copies and says so in `told`; where no browser lets it, says what to do instead. */
export async function copyAndTell(text, told, done = T.copied) {
  told.textContent = (await copy(text, told)) ? done : T.copyYourself;
}
