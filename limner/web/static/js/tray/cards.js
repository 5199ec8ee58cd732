// The tray's cards: one for each request that waits or is drawn.

import { $, h } from "../page/dom.js";
import * as words from "../page/words.js";
import { go } from "../places.js";
import * as stage from "../stage/stage.js";
import * as entries from "./entries.js";
import * as moving from "./moving.js";
import { cancel } from "./tray.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.tray;
const SHOWN = 12;
const cards = new Map();

export function setUp() {
  entries.watch(show);
  stage.onLook(show);
}

function show() {
  const some = entries.all().slice(0, SHOWN);
  for (const [entry, card] of cards) {
    if (some.includes(entry)) continue;
    const next = card.contains(document.activeElement) && (card.nextElementSibling ?? card.previousElementSibling);
    card.remove();
    cards.delete(entry);
    if (next) $("button", next)?.focus();
  }
  for (const entry of some) {
    if (!cards.has(entry)) cards.set(entry, makeCard(entry));
    update(entry, cards.get(entry));
  }
  arrange(some.map((entry) => cards.get(entry)));
  const more = entries.all().length - some.length;
  $("#tray-more").textContent = more ? T.more(more) : "";
  $("#tray").classList.toggle("empty", !some.length);
}

/** The cards in their order; one that moves keeps the focus. */
function arrange(some) {
  const list = $("#tray-list");
  const focused = document.activeElement;
  some.forEach((card, i) => list.children[i] === card || list.insertBefore(card, list.children[i] ?? null));
  if (list.contains(focused)) focused.focus();
}

function makeCard(entry) {
  const name = entry.label || entry.prompt.slice(0, 80);
  const moves = moving.buttons(entry, name);
  const card = h("li", { class: "job", onkeydown: (event) => moving.pressed(event, entry) },
    h("button", { class: "job-open", title: entry.prompt.slice(0, 300), onclick: () => {
      stage.show(entry.tiles);
      go("desk");
    } },
      h("span", { class: "face" }), h("span", { class: "job-words" }, h("b", {}, name), h("span", { class: "job-turn" }))),
    moves.made,
    h("button", { class: "icon job-cancel", title: T.cancelSays, "aria-label": T.cancel(name),
      onclick: () => cancel(entry) }, "×"));
  return Object.assign(card, { moves });
}

function update(entry, card) {
  const price = entry.price === null || entry.state === "failed" ? "" : ` · ${words.credits(entry.price)}`;
  const turn = `${entry.word}${price}`;
  const line = $(".job-turn", card);
  if (line.textContent !== turn) line.textContent = turn;
  const [tile] = [entry.tiles.find((t) => t.preview && t.state === "drawing") ?? entry.tiles[0]];
  card.style.setProperty("--done", entry.tiles.reduce((sum, t) => sum + (t.state === "done" ? 1 : t.done), 0) / entry.tiles.length);
  card.moves.show();
  card.classList.toggle("failed", entry.state === "failed");
  $(".job-open", card).setAttribute("aria-current", String(entry.tiles.includes(stage.looked())));
  if (tile.preview && card.preview !== tile.preview) {
    card.preview = tile.preview;
    $(".face", card).replaceChildren(h("img", { src: tile.preview, alt: "" }));
  }
}
