// The House, for keys with the scope admin.

import { onEnter } from "../account/account.js";
import { get } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { key } from "../page/local.js";
import { go, onGo, place } from "../places.js";
import * as words from "../page/words.js";
import { keysTable } from "./keys.js";
import { plot } from "./plot.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.house;
const C = TEXTS.common;
const AGAIN_MS = 5000;
const DAYS = 30;
let timer = 0;
let admin = null; // not known before a key is let in

export function setUp() {
  onEnter(async () => {
    const { scopes } = await get("api/key");
    admin = scopes.includes("admin");
    $("#to-house").hidden = !admin;
    enter(place());
  });
  onGo(enter);
}

function enter(where) {
  clearTimeout(timer);
  if (where !== "house") return;
  if (admin) show();
  else if (admin === false || !key.get()) go("desk");
}

/** Reads everything anew; what cannot be read says so in its place. */
export async function show() {
  await Promise.all([
    fill("#house-now", now),
    fill("#house-usage", usage),
    fill("#house-keys", () => keysTable(show)),
  ]);
  clearTimeout(timer); // whoever else has shown it meanwhile
  timer = setTimeout(() => enter(place()), AGAIN_MS);
}

async function fill(where, make) {
  const box = $(where);
  if (box.contains(document.activeElement) && document.activeElement !== box) return; // someone is at work here
  try {
    box.replaceChildren(...await make());
  } catch (error) {
    box.replaceChildren(h("p", { class: "error" }, error.message));
  }
}

async function now() {
  const { engine, models, queue, pictures, credits } = await get("api/admin/status");
  const facts = [
    [T.engine, engine.ready ? T.ready(engine.running, engine.waiting) : engine.message],
    [T.inMemory, models.map(({ name }) => name).join(", ") || T.noModel],
    [T.queue, T.inLine(queue.queued, queue.processing)],
    [T.sinceTheStart, T.drawnSoFar(engine.pictures, engine.rows_per_step.toFixed(1), (1000 * engine.seconds_per_step).toFixed(0))],
    [T.kept, T.stored(pictures.number, (pictures.bytes / 2 ** 20).toFixed(0))],
    [T.credits, T.creditsNow(words.credits(credits.available), words.credits(credits.held), words.credits(credits.captured))],
  ];
  return [h("dl", { class: "facts-of-house" }, facts.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]))];
}

async function usage() {
  const { usage: days } = await get(`api/admin/usage/days?days=${DAYS}`);
  return [
    plot(T.picturesADay, days, DAYS, (day) => day.pictures, C.pictures),
    plot(T.creditsADay, days, DAYS, (day) => Number(day.cost), (n) => C.credits(words.credits(n))),
    plot(T.failedADay, days, DAYS, (day) => day.failed, T.failed),
  ];
}
