// The stage: one picture, or a sheet of several.

import { picture as fetchPicture } from "../page/api.js";
import { $, h } from "../page/dom.js";
import * as sprites from "../page/sprites.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.stage;
const C = TEXTS.common;
const listeners = [];
let tiles = [];
let current = 0;

/** `fn(tile)` whenever another tile is looked at, or the one looked at changes. */
export const onLook = (fn) => listeners.push(fn);
export const looked = () => tiles[current] ?? null;
export const shown = () => tiles;

/** A place on the stage. `state` is waiting, drawing, done or failed. */
export function makeTile({ width, height, label = "", columns = null, prompt = "", word = "", picture = null, request = null }) {
  return { width, height, label, columns, prompt: prompt || request?.generation?.prompt || "", picture, request, state: picture ? "done" : "waiting", word, preview: null, done: 0, node: null };
}

/** In how many columns tiles stand: as they were ordered, or as they fit. */
export const columnsOf = (some) => some[0]?.columns ?? (some.length > 6 ? 4 : some.length > 4 ? 3 : some.length > 1 ? 2 : 1);

/** Puts `made` on the stage in place of what is there. */
export function show(made, index = 0) {
  tiles = made;
  current = index;
  const columns = columnsOf(tiles);
  const sheet = $("#sheet");
  sheet.style.setProperty("--columns", columns);
  sheet.style.setProperty("--rows", Math.ceil(tiles.length / columns));
  const { width = 1, height = 1 } = tiles[0] ?? {};
  sheet.style.setProperty("--ratio", width / height);
  sheet.style.setProperty("--most", `${width * 1.5}px`);
  setGrain();
  sheet.dataset.count = tiles.length;
  sheet.replaceChildren(...tiles.map((tile, i) => build(tile, i)));
  tiles.forEach(paint);
  $("#welcome").hidden = tiles.length > 0;
  tell();
}

/** Tiles of sprites are as large as whole numbers of the sprite's pixels. */
function setGrain() {
  const [{ width, request } = {}] = tiles;
  const pixels = sprites.spritePixels(request);
  $("#sheet").style.setProperty("--grain", `${pixels && width ? width / pixels : 1}px`);
}

sprites.onLearn(setGrain);

/** Call after changing a tile. */
export function update(tile) {
  if (!tiles.includes(tile)) return;
  paint(tile);
  if (tiles[current] === tile) tell();
}

const tell = () => listeners.forEach((fn) => fn(tiles[current] ?? null));

export function look(index) {
  current = index;
  tiles.forEach(mark);
  tell();
}

function build(tile, index) {
  const face = h("span", { class: "face" });
  const line = h("span", { class: "line" });
  tile.node = h("button", { class: "tile", style: { "--ratio": tile.width / tile.height },
    onclick: () => {
      if (current !== index) look(index);
      if (tile.picture) tile.node.dispatchEvent(new CustomEvent("limner:open", { bubbles: true, detail: tile }));
    } }, face, line);
  mark(tile);
  return tile.node;
}

function mark(tile) {
  tile.node?.setAttribute("aria-current", tiles[current] === tile);
}

function paint(tile) {
  const { node } = tile;
  if (!node) return;
  const face = $(".face", node);
  face.painted = (face.painted ?? 0) + 1; // a picture that is still being read gives way to what came after it
  node.setAttribute("aria-label", labelOf(tile));
  node.style.setProperty("--done", tile.state === "drawing" ? tile.done : 0);
  if (tile.state === "done") paintPicture(tile, face);
  else if (tile.state === "drawing" && tile.preview) paintImage(face, tile.preview, true);
  else face.replaceChildren(h("span", { class: `word ${tile.state === "failed" && !tile.calm ? "failed" : ""}` }, tile.word));
  label(tile, face);
}

/** Its label, once. */
function label(tile, face) {
  if (tile.label && !$(".label", face)) face.append(h("span", { class: "label" }, tile.label));
}

function labelOf(tile) {
  if (tile.state === "done") return T.opens(C.titleOf([tile.label, tile.prompt.slice(0, 120)].filter(Boolean).join(": ") || T.picture, tile.picture.seed));
  if (tile.state === "drawing") return T.drawn(Math.round(tile.done * 100));
  return tile.word || T.waiting;
}

async function paintPicture(tile, face) {
  if (face.dataset.picture === tile.picture.id) {
    // Which model it was may be known only now.
    if ($("img", face)) sprites.look($("img", face), tile.request);
    return;
  }
  face.dataset.picture = tile.picture.id;
  try {
    const address = await fetchPicture(tile.picture.id, "png");
    // The preview stays until the picture is there, so that nothing blinks.
    await paintImage(face, address, false);
    sprites.look($("img", face), tile.request);
    label(tile, face);
  } catch (error) {
    face.dataset.picture = "";
    face.replaceChildren(h("span", { class: "word failed" }, error.message));
  }
}

async function paintImage(face, address, crisp) {
  const image = h("img", { alt: "", class: crisp ? "crisp" : "", src: address });
  const kept = $(".label", face);
  const turn = face.painted;
  await image.decode().catch(() => {});
  if (face.painted !== turn && !face.dataset.picture) return;
  face.replaceChildren(image, ...(kept ? [kept] : []));
}
