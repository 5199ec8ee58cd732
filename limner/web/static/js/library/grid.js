// The library: a grid that holds only what is in sight.

import { thumbnail } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { onGo, place } from "../places.js";
import * as sprites from "../page/sprites.js";
import * as words from "../page/words.js";
import * as choosing from "./choosing.js";
import * as detail from "./detail.js";
import * as found from "./found.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.gallery;
const C = TEXTS.common;
const SPARE = 1; // rows above and below what is in sight
const CELL = 190; // pixels at least, in width; as high as wide
const COLUMNS_MAX = 10; // so that a wide screen shows larger pictures, not more of them
const cells = new Map();
let current = null; // the one picture that the Tab key stops at

export function setUp() {
  const room = $("#library");
  room.addEventListener("scroll", show, { passive: true });
  room.addEventListener("keydown", walk);
  $("#grid").addEventListener("focusin", (event) => stopAt(event.target.closest(".cell").dataset.id));
  new ResizeObserver(show).observe(room);
  found.onChange(show);
  choosing.onChange(() => cells.forEach((cell, id) => mark(cell, id)));
  onGo(show);
}

/** How many stand beside each other, and how wide each is. */
function measure(room) {
  const width = room.clientWidth - 32;
  const columns = Math.min(COLUMNS_MAX, Math.max(2, Math.floor(width / CELL)));
  return { columns, side: width / columns };
}

function show() {
  if (place() !== "library") return;
  const room = $("#library");
  const pictures = found.all();
  const { columns, side } = measure(room);
  $("#library-count").textContent = counted(pictures.length);
  const grid = $("#grid");
  grid.style.height = `${Math.ceil(pictures.length / columns) * side}px`;
  const top = room.scrollTop - grid.offsetTop;
  const first = Math.max(0, Math.floor(top / side) - SPARE) * columns;
  const last = Math.min(pictures.length, (Math.ceil((top + room.clientHeight) / side) + SPARE) * columns);
  const wanted = new Map();
  for (let i = first; i < last; i++) wanted.set(pictures[i].id, [pictures[i], i]);
  for (const [id, cell] of cells) {
    if (wanted.has(id) || cell.contains(document.activeElement)) continue;
    cell.remove();
    cells.delete(id);
  }
  for (const [picture, i] of wanted.values()) {
    const cell = cells.get(picture.id) ?? make(picture);
    cell.dataset.at = i;
    cell.classList.toggle("starred", picture.starred);
    cell.style.cssText = `width:${side - 8}px;height:${side - 8}px;left:${(i % columns) * side}px;top:${Math.floor(i / columns) * side}px`;
  }
  stopAt(cells.has(current) ? current : pictures[first]?.id);
  if (last > pictures.length - 3 * columns) found.more();
}

function stopAt(id) {
  current = id;
  for (const [each, cell] of cells) for (const part of cell.children) part.tabIndex = each === id ? 0 : -1;
}

function counted(number) {
  if (number) return T.counted(number, found.hasMore());
  return found.isSearch() ? T.noneFits : T.noneYet;
}

function make(picture) {
  const { id, prompt, seed } = picture;
  const name = C.titleOf(prompt.slice(0, 120), seed);
  const button = h("button", { title: `${prompt.slice(0, 300)}\n${C.seedOf(seed)} · ${words.when(picture.created_at)}`, "aria-label": name, onclick: (event) => {
    if (event.shiftKey || event.ctrlKey || event.metaKey) choosing.choose(id, { range: event.shiftKey });
    else detail.look(found.all().find((one) => one.id === id) ?? picture, { follow: event.detail === 0 });
  } });
  const box = h("input", { type: "checkbox", "aria-label": T.select(name), onclick: (event) => choosing.choose(id, { range: event.shiftKey }) });
  const cell = h("div", { class: "cell", data: { id } }, button, box);
  cells.set(id, cell);
  mark(cell, id);
  $("#grid").append(cell);
  thumbnail(id, 256).then(
    (address) => button.replaceChildren(sprites.look(h("img", { src: address, alt: "" }), picture)),
    (error) => { button.textContent = error.message; },
  );
  return cell;
}

function mark(cell, id) {
  cell.classList.toggle("chosen", choosing.has(id));
  $("input", cell).checked = choosing.has(id);
}

/** Arrows go from picture to picture; a row up or down too. */
function walk(event) {
  const cell = event.target.closest(".cell");
  const { columns, side } = measure($("#library"));
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (!by || !cell) return;
  event.preventDefault();
  event.stopPropagation();
  const next = Math.min(found.all().length - 1, Math.max(0, Number(cell.dataset.at) + by));
  const [room, grid] = [$("#library"), $("#grid")];
  const top = grid.offsetTop + Math.floor(next / columns) * side;
  if (top < room.scrollTop) room.scrollTop = top - 8;
  else if (top + side > room.scrollTop + room.clientHeight) room.scrollTop = top + side - room.clientHeight;
  show();
  const there = [...cells.values()].find((one) => Number(one.dataset.at) === next);
  $(event.target.matches("input") ? "input" : "button", there)?.focus();
}
