// The first visit.

import { keyForm, otherKeys } from "./account.js";
import { url } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { draw } from "../tray/draw.js";
import { key } from "../page/local.js";
import * as stage from "../stage/stage.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.account;
const C = TEXTS.common;
const EXAMPLE = () => h("img", { src: url("static/example.png"), width: 32, height: 32, alt: T.example });

/** Shows what fits: the key's form, or the first drawing; hidden while there are pictures. */
export function show() {
  const box = $("#welcome");
  box.replaceChildren(...(key.get() ? firstDrawing() : firstVisit()));
  box.hidden = stage.shown().length > 0;
}

/** A stored key that is let in no more: what the server says, and the form for another. */
export function showRefused(text) {
  $("#welcome").replaceChildren(EXAMPLE(), h("h2", {}, T.notLetIn), h("p", { class: "error" }, text), keyForm(show), otherKeys());
  $("#welcome").hidden = false;
  $("dialog[open]")?.close();
}

const firstVisit = () => [
  EXAMPLE(), h("h2", {}, T.visit),
  h("p", {}, T.visitSays),
  keyForm(show), otherKeys(),
];

const firstDrawing = () => [
  EXAMPLE(), h("h2", {}, T.first),
  h("p", {}, T.firstSays),
  h("button", { class: "primary", onclick: draw }, C.draw),
];
