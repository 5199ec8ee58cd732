// The places of the page, each with an address of its own.

import { $, $$ } from "./page/dom.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.says;

// Names as they stand after # in the address; the first is where one comes in.
const PLACES = ["desk", "library", "house"];
const listeners = [];

/** `fn(place)` whenever another place is gone to. */
export const onGo = (fn) => listeners.push(fn);
export const place = () => PLACES.find((name) => `#${name}` === location.hash) ?? PLACES[0];

export function setUp() {
  addEventListener("hashchange", show);
  show();
}

export function go(name) {
  if (place() !== name) location.hash = name;
}

function show() {
  document.body.dataset.place = place();
  for (const link of $$("#places a")) link.setAttribute("aria-current", link.hash === `#${place()}` ? "page" : "false");
  $("title").textContent = T.places[place()] ?? "Limner";
  for (const box of $$("dialog")) box.close(); // none stays open over another place
  for (const fn of listeners) fn(place());
}
