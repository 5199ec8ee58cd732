// Everything drawn with this key, newest first, from the server.

import { get, thumbnail } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { key } from "../page/local.js";
import { sheetOf } from "./sheets.js";
import * as stage from "../stage/stage.js";
import * as sprites from "../page/sprites.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.gallery;
const C = TEXTS.common;
const PAGE = 24;
let requests = [];
let next = null;
let seen = null;
const listeners = [];
const elsewhere = new Map(); // requests older than those that are loaded, by id
let stripMost = 2 * PAGE; // the library shows them all

/** `fn()` whenever there are other pictures than before. */
export const onChange = (fn) => listeners.push(fn);
export function setUp() {
  $("#more").addEventListener("click", async () => {
    const last = all()[stripMost - 1] ?? all().at(-1);
    stripMost += PAGE;
    if (all().length < stripMost && next) await load(next);
    else show();
    $(`[data-id="${last?.id}"]`)?.nextElementSibling?.querySelector("button")?.focus();
  });
  $("#strip").addEventListener("keydown", walk);
  stage.onLook((tile) => mark(tile?.picture?.id ?? null));
  if (!key.get()) show();
}

/** The first page; the newest picture goes on the stage when nothing else is there. */
export async function refresh() {
  requests = [];
  $("#strip").replaceChildren();
  await load(null);
  if (!stage.shown().length && all().length) open(all()[0].id);
}

async function load(before, limit = PAGE) {
  const page = await get(`api/requests?limit=${limit}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
  requests.push(...page.requests.filter((request) => !requests.some((known) => known.request_id === request.request_id)));
  next = page.next;
  show();
}

/** A request that has just been finished. */
export function add(request) {
  requests = [request, ...requests.filter((known) => known.request_id !== request.request_id)];
  show();
}

/** Takes a picture out, as after it was deleted. */
export function drop(id) {
  for (const request of requests) request.pictures = request.pictures.filter((picture) => picture.id !== id);
  show();
}

// A replay's picture is looked at beside the first one, not kept beside it.
const worthKeeping = (request) => request.surface !== "replay";

/** Every picture, newest request first, each with its request. */
export const all = () => requests.filter(worthKeeping).flatMap((request) => request.pictures.map((picture) => ({ ...picture, request })));

/** Puts a picture of the library on the stage, however old it is. */
export async function openOf({ id, request_id: request }) {
  if (!ofPicture(id)) elsewhere.set(request, await get(`api/requests/${request}`));
  open(id);
}

const ofPicture = (id) => [...requests, ...elsewhere.values()].find((r) => r?.pictures.some((picture) => picture.id === id));

/** Puts a picture on the stage, with its fellows of the same request or sheet. */
export function open(id) {
  const mine = ofPicture(id);
  if (!mine) return;
  const parts = sheetOf(mine.request_id).map((part) => ({ ...part, request: requests.find((r) => r.request_id === part.id) ?? elsewhere.get(part.id) }));
  fetchRest(parts, id);
  const tiles = parts.filter(({ request }) => request).flatMap(({ request, label, columns }) => request.pictures.map((picture) =>
    stage.makeTile({ width: picture.width, height: picture.height, label, columns, picture, request })));
  stage.show(tiles, tiles.findIndex((tile) => tile.picture.id === id));
}

/** The older pictures of a large sheet come after the others; null stands for what is gone. */
async function fetchRest(parts, id) {
  const missing = parts.filter(({ request }) => request === undefined);
  if (!missing.length) return;
  await Promise.all(missing.map(async (part) => elsewhere.set(part.id, await get(`api/requests/${part.id}`).catch(() => null))));
  if (stage.looked()?.picture?.id === id) open(id);
}

/** The picture `by` places further from the one looked at. */
export function neighbour(by) {
  const pictures = all();
  const at = pictures.findIndex((picture) => picture.id === seen);
  return pictures[Math.min(pictures.length - 1, Math.max(0, at + by))] ?? null;
}

function show() {
  const strip = $("#strip");
  const known = new Map([...strip.children].map((node) => [node.dataset.id, node]));
  const pictures = all().slice(0, stripMost);
  const focused = strip.contains(document.activeElement) ? document.activeElement : null;
  strip.replaceChildren(...(pictures.length
    ? pictures.map((picture) => known.get(picture.id) ?? thumb(picture))
    : [h("li", { class: "none" }, T.none)]));
  focused?.focus();
  $("#more").hidden = !next && all().length <= stripMost;
  mark(seen);
  listeners.forEach((fn) => fn());
}

function thumb(picture) {
  const { generation, created_at: created } = picture.request;
  const button = h("button", { class: "thumb", style: { "--ratio": picture.width / picture.height },
    title: `${generation.prompt.slice(0, 160)}\n${C.seedOf(picture.seed)} · ${words.when(created)}`,
    "aria-label": C.titleOf(generation.prompt.slice(0, 80), picture.seed), onclick: () => open(picture.id) });
  const item = h("li", { data: { id: picture.id } }, button);
  watcher.observe(item);
  return item;
}

// Thumbnails are fetched when they come near.
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    fill(target);
  }
}, { rootMargin: "300px" });

/** Asks again for the thumbnails that could not be fetched. */
export function refill() {
  for (const item of $("#strip").children) if ($(".word", item)) fill(item);
}

async function fill(item) {
  const button = $("button", item);
  try {
    const address = await thumbnail(item.dataset.id, 256);
    button.replaceChildren(sprites.look(h("img", { src: address, alt: "" }), ofPicture(item.dataset.id)));
  } catch (error) {
    button.replaceChildren(h("span", { class: "word" }, error.message));
  }
}

/** Arrows go along the strip, which is one stop of the Tab key. */
function walk(event) {
  const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
  const item = event.target.closest("li");
  const next = by && item && (by < 0 ? item.previousElementSibling : item.nextElementSibling);
  if (!next) return;
  event.preventDefault();
  event.stopPropagation();
  $("button", item).tabIndex = -1;
  $("button", next).tabIndex = 0;
  $("button", next).focus();
}

function mark(id) {
  seen = id;
  const items = [...$("#strip").children].filter((item) => item.dataset.id);
  const at = items.find((item) => item.dataset.id === id);
  for (const item of items) {
    $("button", item).setAttribute("aria-current", item === at);
    $("button", item).tabIndex = item === (at ?? items[0]) ? 0 : -1;
  }
  at?.scrollIntoView({ block: "nearest", inline: "nearest" });
}
