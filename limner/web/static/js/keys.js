// Single keys, and the list in which they can be switched off.

import { ACTIONS, askToSpend, run } from "./stage/actions.js";
import { $, closing, dialog, foot, h } from "./page/dom.js";
import { set, setting } from "./page/settings.js";
import * as history from "./desk/history.js";
import { key } from "./page/local.js";
import { place } from "./places.js";
import * as gallery from "./library/gallery.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.keys;
const C = TEXTS.common;
const TYPING = "input:not([type=radio]):not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]";

export function setUp() {
  document.addEventListener("keydown", pressed);
  $("#keys-open").addEventListener("click", show);
}

function pressed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("dialog[open]") || place() !== "desk") return;
  if (event.target.matches?.(TYPING)) return;
  const arrows = event.target.matches?.("input[type=radio], input[type=range]") ? null : { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const single = setting("singleKeys");
  const action = single && ACTIONS.find((a) => a.key && a.key.toLowerCase() === event.key.toLowerCase());
  if (event.key === "?" && single) show();
  else if (event.key.toLowerCase() === "h" && single && key.get()) history.open();
  else if (event.key === "/" && single) $("#prompt").focus();
  else if (arrows) {
    const next = gallery.neighbour(arrows);
    if (next) gallery.open(next.id);
  } else if (action) (action.spends && setting("askToSpend") ? askToSpend : run)(action);
  else return;
  event.preventDefault();
}

const OTHERS = [
  ["Ctrl Enter", C.draw], ["Escape", T.cancel],
  ["Ctrl ↑  Ctrl ↓", T.weight],
  ["←  →", T.walk], ["/", T.prompt], ["H", T.earlier], ["?", T.list],
];

const option = (name, says) => h("label", {}, h("input", { type: "checkbox", checked: setting(name), onchange: (event) => set(name, event.target.checked) }), ` ${says}`);

function show() {
  const rows = [...OTHERS, ...ACTIONS.filter((a) => a.key).map((a) => [a.key, a.says])];
  const list = h("dl", { class: "keys" });
  const fill = (wanted) => list.replaceChildren(...rows.filter(([keys, says]) => `${keys} ${says}`.toLowerCase().includes(wanted.toLowerCase()))
    .flatMap(([keys, says]) => [h("dt", {}, keys.split("  ").map((one) => h("kbd", {}, one))), h("dd", {}, says)]));
  fill("");
  dialog(C.shortcuts, h("input", { type: "text", placeholder: C.search, "aria-label": T.search, oninput: (event) => fill(event.target.value) }), list,
    h("div", { class: "key-options" }, option("singleKeys", T.single), option("askToSpend", T.ask)),
    foot(closing(C.close, { class: "primary" })));
}
