// Puts requests in line and follows them.

import { Refused, expected, get, remove } from "../page/api.js";
import { announce } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { watch } from "../page/events.js";
import * as tabs from "../page/tabs.js";
import * as words from "../page/words.js";
import * as gallery from "../library/gallery.js";
import { rememberSheet } from "../library/sheets.js";
import * as seed from "../desk/seed.js";
import * as stage from "../stage/stage.js";
import * as entries from "./entries.js";
import { explainRefusal, explainWait } from "./refusals.js";
import { refreshCredits } from "../account/account.js";
import { rememberSource } from "../library/sources.js";
import * as submitting from "./submitting.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.tray;
const STREAMS = 3; // a browser opens six connections to a server, and the page needs some of them
const LOOK_MS = 1000;
const IDLE_MS = 10_000;
const LIST_MAX = 200;
const streams = new Map();
const given = new Set(); // ids that were cancelled here: a look that was under way may still name them
let present = false; // a key has been let in

export function setUp() {
  tabs.on("changed", () => look());
  tabs.on("finished", fetchFinished);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  stage.onLook(follow);
  lookAgain();
}

/** After a key was let in: takes up what is unfinished, of this tab, a closed one or another. */
export async function resume() {
  present = true;
  for (const job of await submitting.left()) if (!entries.all().some((entry) => entry.job?.key === job.key)) begin(job);
  await look();
  const [first] = entries.open();
  if (first && !stage.shown().length) stage.show(first.tiles);
}

/** Puts `[{body, label, columns}]` in line; they go on the stage unless something unfinished is there. */
export function submit(parts) {
  errors.clear();
  const made = begin(submitting.make(parts));
  if (stage.shown().some((tile) => ["waiting", "drawing"].includes(tile.state))) announce(T.inLine);
  else stage.show(made.flatMap((entry) => entry.tiles));
}

function begin(job) {
  const made = job.parts.map((part) => entries.fromPart(job, part));
  job.stop = new AbortController();
  send(job, made, stage.shown());
  return made;
}

async function send(job, made, before) {
  try {
    const requests = await submitting.submit(job, { signal: job.stop.signal, onWait: (...told) => { job.unsay = explainWait(made, ...told); } });
    accept(job, made, requests);
  } catch (error) {
    if (job.stop.signal.aborted) return;
    if (!(error instanceof Refused)) throw error;
    submitting.forget(job);
    made.forEach(entries.drop);
    // Refused before it began: what was looked at comes back, and Draw says why.
    if (made.some((entry) => entry.tiles.includes(stage.looked()))) stage.show(before);
    explainRefusal(error, () => submit(job.parts));
  }
}

function accept(job, made, requests) {
  submitting.forget(job);
  job.unsay?.();
  made.forEach((entry, i) => {
    entry.id = requests[i].request_id;
    entry.state = "waiting";
    if (entry.body.image) rememberSource(entry.id, entry.body);
    entries.stands(entry, requests[i]);
  });
  if (made.length > 1) rememberSheet(made.map(({ id, label, columns }) => ({ id, label, columns })));
  refreshCredits();
  tabs.tell("changed");
  follow();
}

/** Follows what is on the stage and the first in line; the others are looked at together. */
function follow() {
  const seen = entries.ofTile(stage.looked());
  const wanted = [...new Set([seen, ...entries.open()])].filter((entry) => entry?.id).slice(0, STREAMS);
  for (const [entry, stop] of streams) if (!wanted.includes(entry)) stop.abort();
  for (const entry of wanted) if (!streams.has(entry)) stream(entry);
}

async function stream(entry) {
  const stop = new AbortController();
  streams.set(entry, stop);
  try {
    for await (const event of watch(entry.id, stop.signal)) {
      if (event.type === "finished" || event.type === "failed") break;
      if (stop.signal.aborted) return;
      entries.took(entry, event);
    }
    await settle(entry);
  } catch (error) {
    if (!stop.signal.aborted) expected(error);
  } finally {
    streams.delete(entry);
    if (present && !stop.signal.aborted) follow();
  }
}

async function lookAgain() {
  for (;;) {
    const busy = entries.open().some((entry) => entry.id);
    await new Promise((resolve) => setTimeout(resolve, busy ? LOOK_MS : IDLE_MS));
    if (!document.hidden || busy) await look();
  }
}

/** Asks the server what is unfinished; what is no longer so has ended. */
export async function look() {
  if (!present) return;
  const before = entries.open().filter((entry) => entry.id);
  try {
    const { requests } = await get(`api/requests?unfinished=true&limit=${LIST_MAX}`);
    const found = requests.filter(({ surface, request_id: id }) => surface !== "replay" && !given.has(id)).reverse();
    for (const request of found) entries.stands(entries.find(request.request_id) ?? entries.fromRequest(request), request);
    entries.arrange();
    const ids = new Set(found.map((request) => request.request_id));
    if (requests.length < LIST_MAX) await Promise.all(before.filter((entry) => !ids.has(entry.id)).map(settle));
    follow();
  } catch (error) {
    expected(error);
  }
}

/** Asks how a request ended, and says it; nothing where it goes on. */
async function settle(entry) {
  const request = await get(`api/requests/${entry.id}`);
  if (!entries.all().includes(entry) || ["QUEUED", "PROCESSING"].includes(request.status)) return;
  if (request.status === "COMPLETED") complete(entry, request);
  else if (request.status === "CANCELLED") cancelled(entry);
  else failed(entry, request.error ?? T.failed);
  refreshCredits();
}

function complete(entry, request) {
  entries.finished(entry, request);
  entries.drop(entry);
  gallery.add(request);
  tabs.tell("finished", request.request_id);
  if (request.pictures.length && entry.body) seed.used(request.pictures[0].seed);
  announce(T.drawn(request.pictures.length, words.credits(request.cost), entry.prompt.slice(0, 80)));
}

function cancelled(entry) {
  streams.get(entry)?.abort();
  entries.ended(entry, T.notBilled, true);
  // One place says it as well as four.
  if (entry.tiles.includes(stage.looked()) && entry.tiles.every((tile) => tile.state === "failed")) stage.show(entry.tiles.slice(0, 1));
  entries.drop(entry);
}

function failed(entry, text) {
  entries.ended(entry, text, false);
  Object.assign(entry, { state: "failed", word: text });
  entries.changed();
  announce(text);
}

async function fetchFinished(id) {
  const entry = entries.find(id);
  if (entry) return settle(entry).catch(() => {});
  return get(`api/requests/${id}`).then((request) => gallery.add(request), () => {});
}

/** Ends an entry; what was not drawn is not billed. A failed one is only taken out of sight. */
export async function cancel(entry) {
  if (entry.state === "failed") return entries.drop(entry);
  const { job, id } = entry;
  if (id) given.add(id);
  cancelled(entry);
  announce(T.cancelled);
  try {
    if (id) await remove(`api/requests/${id}`);
    else await cancelUnheard(job);
    refreshCredits();
    tabs.tell("changed");
  } catch (error) {
    expected(error);
    errors.show(error.message);
  }
}

/** A submission goes as a whole, also where its acceptance was not heard. */
async function cancelUnheard(job) {
  job.stop.abort(new DOMException("Cancelled", "AbortError"));
  entries.all().filter((entry) => entry.job === job).forEach(cancelled);
  job.unsay?.();
  const requests = await submitting.accepted(job);
  submitting.forget(job);
  await Promise.all(requests.map((request) => remove(`api/requests/${request.request_id}`)));
}

/** Ends what is looked at, if it is still to be drawn; true when there was something. */
export function cancelLooked() {
  const entry = entries.ofTile(stage.looked());
  if (entry) cancel(entry);
  return Boolean(entry);
}
