// Single keys, where nothing is being typed, and the list of them.

import { ACTIONS, run } from "./stage/actions.js";
import { $, dialog, h } from "./page/dom.js";
import * as gallery from "./library/gallery.js";

const TYPING = "input:not([type=radio]):not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]";

export function setUp() {
  document.addEventListener("keydown", pressed);
  $("#keys-open").addEventListener("click", show);
}

function pressed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (event.target.matches?.(TYPING)) return;
  const arrows = event.target.matches?.("input[type=radio], input[type=range]") ? null : { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const action = ACTIONS.find((a) => a.key && a.key.toLowerCase() === event.key.toLowerCase());
  if (event.key === "?") show();
  else if (event.key === "/") $("#prompt").focus();
  else if (arrows) {
    const next = gallery.neighbour(arrows);
    if (next) gallery.open(next.id);
  } else if (action) run(action);
  else return;
  event.preventDefault();
}

const OTHERS = [
  ["Ctrl Enter", "Draw"], ["Escape", "Cancel the drawing"],
  ["Ctrl ↑  Ctrl ↓", "Weight of the selection or the word, by 0.1"],
  ["←  →", "Newer and older pictures"], ["/", "To the prompt"], ["?", "This list"],
];

function show() {
  const rows = [...OTHERS, ...ACTIONS.filter((a) => a.key).map((a) => [a.key, a.says])];
  const box = dialog("Shortcuts",
    h("dl", { class: "keys" }, rows.flatMap(([keys, says]) => [h("dt", {}, keys.split("  ").map((one) => h("kbd", {}, one))), h("dd", {}, says)])),
    h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "primary", onclick: () => box.close() }, "Close")));
}
