// Draw and Cancel: from the button to pictures on the stage, and back again after a reload.

import * as account from "../account/account.js";
import { Refused, get } from "../page/api.js";
import { $, announce, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import * as gallery from "../library/gallery.js";
import * as jobs from "./jobs.js";
import { key } from "../page/local.js";
import { order, toBody } from "../desk/order.js";
import * as seed from "../desk/seed.js";
import * as stage from "../stage/stage.js";
import * as words from "../page/words.js";

const running = new Map();
const sources = new Map();

export function setUp() {
  $("#desk").addEventListener("submit", (event) => {
    event.preventDefault();
    if (running.size) cancel();
    else draw();
  });
}

export const isDrawing = () => running.size > 0;

/** The source fields a request was sent with, while this page is open: for variations and copies. */
export const sourceOf = (requestId) => sources.get(requestId) ?? null;

/** Draws what is on the desk. */
export function draw() {
  if (isDrawing()) return;
  errors.clear();
  if (!key.get()) return account.askForKey();
  if (!order.get().prompt.trim()) return errors.show("prompt is empty; say what to draw");
  start([jobs.add([{ body: toBody() }])]);
}

/** Draws several requests as one sheet: `[{body, label}]`. */
export function drawSheet(parts) {
  if (isDrawing()) return;
  errors.clear();
  start([jobs.add(parts)]);
}

/** Takes up what a closed tab left: sends what was not sent, watches what is running. */
export function resume() {
  const left = jobs.all().filter((job) => !running.has(job));
  if (left.length) start(left);
}

function start(made) {
  const before = stage.shown();
  const placed = made.map((job) => [job, job.parts.map((part) => [part, tilesOf(part)])]);
  stage.show(placed.flatMap(([, parts]) => parts.flatMap(([, tiles]) => tiles)));
  $("#stage").scrollIntoView({ block: "nearest" });
  for (const [job, parts] of placed) run(job, parts, before);
}

function tilesOf({ body, label }) {
  return Array.from({ length: body.samples ?? 1 }, () => stage.makeTile({ width: body.img_width, height: body.img_height, label, word: "On its way" }));
}

async function run(job, parts, before) {
  const stop = new AbortController();
  const tiles = parts.flatMap(([, some]) => some);
  running.set(job, { stop, tiles });
  showButton();
  try {
    await jobs.submit(job, { signal: stop.signal, onWait: (...told) => waiting(tiles, ...told) });
    errors.clear("draw");
    await Promise.all(parts.map(([part, some]) => follow(part, some, stop.signal)));
  } catch (error) {
    if (stop.signal.aborted) return;
    // Refused before it began: what was looked at comes back, and Draw says why.
    if (!job.parts[0].id) stage.show(before);
    fail(error, tiles);
  } finally {
    running.delete(job);
    jobs.forget(job);
    showButton();
  }
}

async function follow(part, tiles, signal) {
  if (part.body.image) sources.set(part.id, sourceFields(part.body));
  try {
    for await (const event of jobs.follow(part, signal)) took(event, tiles);
  } catch (error) {
    if (!signal.aborted) fail(error, tiles);
  }
}

const sourceFields = ({ image, mask, strength, resize_mode, mask_blur }) => ({
  image, strength, resize_mode, ...(mask ? { mask, mask_blur } : {}),
});

function took({ type, data }, tiles) {
  const act = {
    queued: () => say(tiles, words.queue(data.position, data.estimate_s)),
    offline: () => say(tiles, "The server is gone for a moment. What it has begun goes on when it is back."),
    started: () => begin(tiles[data.index], tiles),
    progress: () => progress(tiles[data.index], data),
    drawn: () => drawn(tiles[data.index], data.picture),
    stored: () => stored(data, tiles),
    failed: () => fail(new Refused(0, data.error ?? "It failed."), tiles, data.status),
  }[type];
  act?.();
}

function say(tiles, text) {
  account.showTurn(text);
  for (const tile of tiles.filter((t) => t.state === "waiting")) {
    tile.word = text;
    stage.update(tile);
  }
}

function begin(tile, tiles) {
  if (!tile || tile.state === "done") return;
  for (const other of tiles.filter((t) => t.state === "waiting" && t !== tile)) {
    other.word = "Soon";
    stage.update(other);
  }
  Object.assign(tile, { state: "drawing", word: "The first lines", begun: performance.now() });
  account.showTurn("Drawing");
  stage.update(tile);
}

function progress(tile, { evaluation, evaluations, preview, step, steps }) {
  if (!tile || tile.state === "done") return;
  Object.assign(tile, { state: "drawing", done: evaluation / evaluations, preview: preview ?? tile.preview });
  tile.begun ??= performance.now();
  tile.turn = `Step ${step} of ${steps}`;
  account.showTurn(`Drawing, step ${step} of ${steps}`);
  stage.update(tile);
}

function drawn(tile, picture) {
  if (!tile) return;
  Object.assign(tile, { state: "done", picture, took: tile.begun ? (performance.now() - tile.begun) / 1000 : null });
  stage.update(tile);
}

function stored(request, tiles) {
  for (const picture of request.pictures) {
    const tile = tiles[picture.index];
    if (tile) drawn(Object.assign(tile, { request }), picture);
  }
  gallery.add(request);
  if (request.pictures.length) seed.used(request.pictures[0].seed);
  announce(`${words.count(request.pictures.length, "picture")} drawn for ${words.credits(request.cost)} credits.`);
  get("v1/get-user-credits").catch(() => {});
}

/** The server is gone or full: what is kept, and when it is tried again. */
function waiting(tiles, error, seconds, tryNow) {
  const gone = !(error instanceof Refused);
  const text = gone
    ? `${error.message} Your request is kept and goes out again with the same idempotency key: it is drawn once and billed once.`
    : error.message;
  say(tiles, gone ? "Waiting for the server" : "Waiting for a place");
  errors.show(`${text} Next try in ${words.seconds(Math.max(1, seconds))}.`, h("button", { type: "button", class: "quiet", onclick: tryNow }, "Try now"));
}

function fail(error, tiles, status = null) {
  for (const tile of tiles.filter((t) => t.state !== "done")) {
    Object.assign(tile, { state: "failed", calm: status === "CANCELLED", word: status === "CANCELLED" ? "Cancelled. Nothing was billed for it." : error.message, preview: null });
    stage.update(tile);
  }
  if (status === "CANCELLED") return;
  if (!(error instanceof Refused)) throw error;
  if (error.status === 403 && /licen[cs]e/i.test(error.message)) errors.show(error.message, account.licenceButton(draw));
  else if (error.message.startsWith("Insufficient credits")) errors.show(error.message, topUp());
  else errors.show(error.message);
}

const topUp = () => h("span", { class: "note" }, "The operator adds more with ", h("code", {}, "limner credits grant KEY 10"), ".");

/** Ends whatever is running; what was not drawn is not billed. */
export async function cancel() {
  const left = [...running];
  for (const [job, { stop, tiles }] of left) {
    stop.abort(new DOMException("Cancelled", "AbortError"));
    fail(new Refused(0, "Cancelled"), tiles, "CANCELLED");
    jobs.cancel(job).catch((error) => errors.show(error.message));
  }
  if (left.length) announce("Cancelled.");
}

function showButton() {
  const button = $("#draw");
  const drawing = isDrawing();
  $("#draw-word").textContent = drawing ? "Cancel" : "Draw";
  button.classList.toggle("cancel", drawing);
  if (!drawing) account.showTurn(null);
}
