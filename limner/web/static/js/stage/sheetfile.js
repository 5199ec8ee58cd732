// The pictures on the stage as one picture, with labels.

import { picture as fetchPicture } from "../page/api.js";
import { h, saveFile } from "../page/dom.js";
import * as stage from "./stage.js";

const SIDE_MAX = 8192; // pixels; larger canvases stay empty in some browsers
const GAP = 8;
const FONT = "16px sans-serif";
const LINE = 28; // room for a label
const MARGIN_MAX = 240; // for the names of rows

export const isSheet = () => stage.shown().length > 1;

/** Saves the finished pictures of the stage; the others leave their places empty. */
export async function saveSheet() {
  const tiles = stage.shown();
  const plan = planOf(tiles);
  const canvas = Object.assign(document.createElement("canvas"), { width: plan.left + plan.across * plan.stepX + GAP, height: plan.top + plan.down * plan.stepY + GAP });
  const pen = canvas.getContext("2d");
  Object.assign(pen, { fillStyle: "#fff", font: FONT, textBaseline: "middle" });
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#000";
  for (const [i, tile] of tiles.entries()) await place(pen, plan, tile, i);
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  saveFile(blob, `limner-sheet-${plan.across}x${plan.down}.png`);
}

/** Where everything stands. A grid of settings has its names along two sides, others one on each picture. */
function planOf(tiles) {
  const across = stage.columnsOf(tiles);
  const down = Math.ceil(tiles.length / across);
  const grid = Boolean(tiles[0].columns);
  const left = grid ? widest(tiles.map(({ label }) => named(label)[1])) : 0;
  const { width, height } = tiles[0];
  const line = grid ? 0 : LINE;
  const scale = Math.min(1, (SIDE_MAX - left) / across / (width + GAP), (SIDE_MAX - LINE) / down / (height + GAP + line));
  const [w, high] = [Math.floor(width * scale), Math.floor(height * scale)];
  return { across, down, grid, left, w, high, top: grid ? LINE : 0, stepX: w + GAP, stepY: high + line + GAP };
}

/** What a label says of its column, and of its row. */
const named = (label) => [...label.split(" · "), ""].slice(0, 2);

function widest(texts) {
  const pen = Object.assign(document.createElement("canvas").getContext("2d"), { font: FONT });
  const most = Math.max(...texts.map((text) => pen.measureText(text).width));
  return most ? Math.min(MARGIN_MAX, Math.ceil(most) + GAP) : 0;
}

async function place(pen, { across, grid, left, top, w, high, stepX, stepY }, tile, i) {
  const [column, row] = [i % across, Math.floor(i / across)];
  const [x, y] = [left + GAP + column * stepX, top + GAP + row * stepY];
  const [ofColumn, ofRow] = named(tile.label);
  if (!grid) pen.fillText(tile.label || `seed ${tile.picture?.seed ?? ""}`, x, y + LINE / 2, w);
  if (grid && row === 0) pen.fillText(ofColumn, x, GAP + LINE / 2, w);
  if (grid && column === 0) pen.fillText(ofRow, GAP, y + high / 2, left - GAP);
  if (tile.picture) pen.drawImage(await imageOf(tile), x, y + (grid ? 0 : LINE), w, high);
}

async function imageOf({ picture }) {
  const image = h("img", { src: await fetchPicture(picture.id, "png") });
  await image.decode();
  return image;
}
