// What can be done with the picture that is looked at, by button or by one key.

import { model } from "../account/account.js";
import { Refused, Unreachable, get, picture as fetchPicture, post, remove, request as call } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { randomSeed } from "../page/json.js";
import { sourceOf } from "../library/sources.js";
import { submit } from "../tray/tray.js";
import * as errors from "../page/errors.js";
import * as gallery from "../library/gallery.js";
import { fromGeneration, generationBody, order } from "../desk/order.js";
import { difference } from "./difference.js";
import { showCost, showReceipt } from "./papers.js";
import { showSnippets } from "./snippets.js";
import { keptSource, take, takeAgain } from "../desk/source/source.js";
import * as stage from "./stage.js";
import { finding } from "./finding.js";

const NEIGHBOURS = 4;
const HOW_FAR = 0.15;

export const ACTIONS = [
  { id: "vary", name: "Vary", key: "V", says: "Four neighbours: the same seed, a little of other noise; four pictures are billed", act: vary, spends: true },
  { id: "input", name: "Use as input", key: "I", says: "Start the next drawing from it", act: useAsInput },
  { id: "lock", name: "Keep seed", key: "S", says: "Use its seed for every drawing", act: keepSeed },
  { id: "settings", name: "Its settings", says: "Put its prompt and settings on the desk", act: settings },
  { id: "replay", name: "Replay", key: "R", says: "Draw it again from its receipt and compare every pixel; billed like the first time", act: replay, spends: true },
  { id: "copy", name: "Copy request", key: "C", says: "The request as curl, Python or JavaScript", act: copy },
  { id: "png", quiet: true, name: "PNG", says: "Save it, lossless", act: (tile) => download(tile, "png") },
  { id: "jpg", quiet: true, name: "JPEG", says: "Save it as JPEG", act: (tile) => download(tile, "jpg") },
  { id: "webp", quiet: true, name: "WebP", says: "Save it as WebP, the smallest", act: (tile) => download(tile, "webp") },
  { id: "sprite", quiet: true, name: "Sprite", says: "Save the true pixels of the sprite", act: (tile) => download(tile, "sprite.png"), only: () => Boolean(model()?.sprite_pixels) },
  { id: "receipt", quiet: true, name: "Receipt", says: "Everything needed to draw it again", act: ({ picture }) => showReceipt(picture) },
  { id: "cost", quiet: true, name: "What it cost", says: "What became of the credits", act: (tile) => showCost(tile) },
  { id: "delete", quiet: true, name: "Delete", says: "Take it off the server", act: forget },
];

/** Runs an action on the picture looked at; a refusal is told under it. */
export async function run(action) {
  const tile = stage.looked();
  if (!tile?.picture) return;
  try {
    await action.act(tile);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    finding(h("p", { class: "error" }, error.message));
  }
}

/** Asks before an action that costs; Enter says yes. */
export function askToSpend(action) {
  if (!stage.looked()?.picture) return;
  const yes = h("button", { type: "button", onclick: () => {
    finding();
    run(action);
  } }, action.name);
  finding(h("p", { class: "finding" }, `${action.says}. `, yes));
  yes.focus();
}

async function generationOf({ picture, request }) {
  const { parameters, model } = await get(`api/receipts/${picture.id}`);
  const drawnWith = { model: model?.sha256, vae: model?.vae_sha256 };
  return { ...(parameters ?? request.generation), ...drawnWith, samples: 1, seed: picture.seed };
}

async function replay({ picture }) {
  finding(h("p", { class: "finding" }, "Drawing it again from its receipt…"));
  const told = await post("api/replay", { picture_id: picture.id });
  const sentence = `${told.text[0].toUpperCase()}${told.text.slice(1)}.`;
  finding(h("p", { class: `finding ${told.identical ? "same" : ""}` }, sentence, " ", told.changed.join(" ")));
  if (!told.identical && told.different_pixels) $("#finding").append(await difference(picture.id, told.picture_id));
}

/** What the request started from, this page's own or the server's; an empty object where nothing. */
async function sourceFields({ request }, g) {
  if (!g.source) return {};
  return sourceOf(request?.request_id) ?? keptSource(g.source);
}

async function vary(tile) {
  const g = await generationOf(tile);
  const variation = { samples: NEIGHBOURS, subseed: randomSeed(), subseed_strength: HOW_FAR };
  submit([{ body: { ...generationBody(g), ...await sourceFields(tile, g), ...variation } }]);
}

async function useAsInput({ picture }) {
  const blob = await (await call(`api/pictures/${picture.id}.png`)).blob();
  order.set({ img_width: picture.width, img_height: picture.height });
  await take(new File([blob], `${picture.id}.png`, { type: "image/png" }));
}

function keepSeed({ picture }) {
  order.set({ seed: picture.seed, locked: true });
  finding(h("p", { class: "finding" }, `Seed ${picture.seed} is kept for every drawing.`));
}

async function settings(tile) {
  const g = await generationOf(tile);
  errors.clear();
  order.set({ ...fromGeneration(g), image: null });
  if (g.source) await takeAgain(await sourceFields(tile, g));
}

async function copy(tile) {
  const g = await generationOf(tile);
  const kept = g.source ? sourceOf(tile.request?.request_id) : null;
  showSnippets({ ...generationBody(g), ...kept }, g.source && !kept ? tile.picture.id : null);
}

async function download({ picture }, format) {
  const address = await fetchPicture(picture.id, format);
  h("a", { href: address, download: `limner-${picture.seed}-${picture.id.slice(-6)}.${format}` }).click();
}

async function forget({ picture }) {
  const sure = h("button", { type: "button", onclick: async () => {
    await remove(`api/pictures/${picture.id}`);
    const next = gallery.neighbour(1)?.id === picture.id ? gallery.neighbour(-1) : gallery.neighbour(1);
    gallery.drop(picture.id);
    if (next && next.id !== picture.id) gallery.open(next.id);
    else stage.show([]);
    ($(".tile[aria-current=true]") ?? $("#prompt")).focus();
  } }, "Delete it for good");
  finding(h("p", { class: "finding" }, "The picture and its receipt leave the server. ", sure));
  sure.focus();
}
