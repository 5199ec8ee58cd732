// The requests that wait or are drawn, oldest first, from the press of Draw to their end.
//
// `{id, job, label, tiles, state, word, price, prompt, queued, place}`: `id` is the server's once it has
// accepted, `queued` whether it waits there and `place` where in line,
// `state` is sending, waiting, drawing or failed, `tiles` are its places on the stage.

import { makeTile, update } from "../stage/stage.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.tray;
let entries = [];
const watchers = [];

export const all = () => entries;
export const open = () => entries.filter((entry) => entry.state !== "failed");
export const find = (id) => entries.find((entry) => entry.id === id) ?? null;
/** Those that wait on the server, in their order. */
export const waiting = () => entries.filter((entry) => entry.queued && entry.state === "waiting");
export const ofTile = (tile) => entries.find((entry) => entry.tiles.includes(tile)) ?? null;

/** `fn()` whenever an entry came, went or changed. */
export const watch = (fn) => watchers.push(fn);
export const changed = () => watchers.forEach((fn) => fn());

const tilesOf = (width, height, count, label, prompt, columns) =>
  Array.from({ length: count }, () => makeTile({ width, height, label, prompt, columns, word: T.sending }));

/** The entry of a part of a submission that this page makes. */
export function fromPart(job, { body, label = "", columns = null }) {
  return add({ id: null, job, body, label, columns, prompt: body.prompt, state: "sending", word: T.sending, price: null,
    tiles: tilesOf(body.img_width, body.img_height, body.samples ?? 1, label, body.prompt, columns) });
}

/** The entry of a stored request, as of another tab or after a reload. */
export function fromRequest(request) {
  const { width, height, prompt } = request.generation ?? { width: 512, height: 512, prompt: "" };
  const samples = request.lines.reduce((sum, line) => sum + (line.samples ?? 1), 0) || 1;
  return add({ id: request.request_id, job: null, body: null, label: "", prompt, state: "waiting", word: "", price: request.price,
    tiles: tilesOf(width, height, samples, "", prompt) });
}

function add(entry) {
  entries = [...entries, entry];
  changed();
  return entry;
}

export function drop(entry) {
  entries = entries.filter((other) => other !== entry);
  changed();
}

/** Brings what waits into the order of the turns; what is drawn stays before it, what is on its way behind. */
export function arrange() {
  const turn = (entry) => (entry.queued ? entry.place : entry.state === "sending" ? Infinity : 0);
  const sorted = [...entries].sort((one, other) => (turn(one) === turn(other) ? 0 : turn(one) - turn(other)));
  if (sorted.every((entry, i) => entry === entries[i])) return;
  entries = sorted;
  changed();
}

/** What the server says of a request that is not finished. */
export function stands(entry, request) {
  entry.price = request.price;
  entry.queued = request.status === "QUEUED";
  entry.place = request.position ?? Infinity;
  if (request.status === "QUEUED") say(entry, words.queue(request.position, request.estimate_s));
  else if (entry.state !== "drawing") say(entry, T.begins);
}

/** A sentence for an entry that waits, and for its places on the stage. */
export function say(entry, text) {
  if (entry.word === text && entry.state === "waiting") return;
  entry.word = text;
  if (entry.state === "sending" && entry.id) entry.state = "waiting";
  for (const tile of entry.tiles.filter((t) => t.state === "waiting")) update(Object.assign(tile, { word: text }));
  changed();
}

/** An event of the request's stream: what it says of one picture. */
export function took(entry, { type, data }) {
  const tile = entry.tiles[data.index];
  if (type === "queued") say(entry, words.queue(data.position, data.estimate_s));
  else if (type === "offline") say(entry, T.offline);
  else if (tile && !["done", "failed"].includes(tile.state)) ({ started, progress, drawn }[type])?.(entry, tile, data);
  changed();
}

function started(entry, tile) {
  Object.assign(entry, { state: "drawing", queued: false, word: T.first });
  update(Object.assign(tile, { state: "drawing", word: T.first, begun: performance.now() }));
}

function progress(entry, tile, { evaluation, evaluations, preview, step, steps }) {
  entry.state = "drawing";
  entry.word = T.step(step, steps);
  tile.begun ??= performance.now();
  update(Object.assign(tile, { state: "drawing", done: evaluation / evaluations, preview: preview ?? tile.preview, turn: entry.word }));
}

function drawn(entry, tile, { picture }) {
  update(Object.assign(tile, { state: "done", picture, took: tile.begun ? (performance.now() - tile.begun) / 1000 : null }));
}

/** Its pictures are stored. */
export function finished(entry, request) {
  for (const picture of request.pictures) {
    const tile = entry.tiles[picture.index];
    if (tile) drawn(entry, Object.assign(tile, { request }), { picture });
  }
  ended(entry, T.notDrawn, false);
}

/** What was not drawn says why. */
export function ended(entry, word, calm) {
  for (const tile of entry.tiles.filter((t) => t.state !== "done")) update(Object.assign(tile, { state: "failed", calm, word, preview: null }));
}
