// The library: everything drawn with the key, in a grid that holds only what is in sight.

import { model } from "../account/account.js";
import { thumbnail } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { go, onGo, place } from "../places.js";
import * as words from "../page/words.js";
import * as gallery from "./gallery.js";

const SPARE = 1; // rows above and below what is in sight
const CELL = 190; // pixels at least, in width; as high as wide
const cells = new Map();

export function setUp() {
  const room = $("#library");
  room.addEventListener("scroll", show, { passive: true });
  room.addEventListener("keydown", walk);
  new ResizeObserver(show).observe(room);
  gallery.onChange(show);
  onGo(show);
}

/** How many stand beside each other, and how wide each is. */
function measure(room) {
  const width = room.clientWidth - 32;
  const columns = Math.max(2, Math.floor(width / CELL));
  return { columns, side: width / columns };
}

function show() {
  if (place() !== "library") return;
  const room = $("#library");
  const pictures = gallery.all();
  const { columns, side } = measure(room);
  $("#library-count").textContent = pictures.length ? `${words.count(pictures.length, "picture")}${gallery.hasMore() ? " and older ones" : ""}` : "Nothing yet: pictures you draw come here.";
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
    cell.style.cssText = `width:${side - 8}px;height:${side - 8}px;left:${(i % columns) * side}px;top:${Math.floor(i / columns) * side}px`;
  }
  if (last > pictures.length - 3 * columns) gallery.more();
}

function make(picture) {
  const { generation, created_at: created } = picture.request;
  const prompt = generation?.prompt ?? "";
  const cell = h("button", { type: "button", class: "cell", title: `${prompt.slice(0, 300)}\nseed ${picture.seed} · ${words.when(created)}`,
    "aria-label": `${prompt.slice(0, 120)}, seed ${picture.seed}`, onclick: () => {
      gallery.open(picture.id);
      go("desk");
    } });
  cells.set(picture.id, cell);
  $("#grid").append(cell);
  thumbnail(picture.id, 256).then(
    (address) => cell.replaceChildren(h("img", { src: address, alt: "", class: model()?.sprite_pixels ? "crisp" : "" })),
    (error) => { cell.textContent = error.message; },
  );
  return cell;
}

/** Arrows go from picture to picture; a row up or down too. */
function walk(event) {
  const at = Number(event.target.dataset.at ?? NaN);
  const { columns, side } = measure($("#library"));
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (!by || Number.isNaN(at)) return;
  event.preventDefault();
  event.stopPropagation();
  const next = Math.min(gallery.all().length - 1, Math.max(0, at + by));
  const [room, grid] = [$("#library"), $("#grid")];
  const top = grid.offsetTop + Math.floor(next / columns) * side;
  if (top < room.scrollTop) room.scrollTop = top - 8;
  else if (top + side > room.scrollTop + room.clientHeight) room.scrollTop = top + side - room.clientHeight;
  show();
  [...cells.values()].find((cell) => Number(cell.dataset.at) === next)?.focus();
}
