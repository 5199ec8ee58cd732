// What can be done with the picture that is looked at.

import { Refused, expected, get, picture as fetchPicture, post, request as call } from "../page/api.js";
import { $, h } from "../page/dom.js";
import { notice } from "../page/notice.js";
import { spritePixels } from "../page/sprites.js";
import { randomSeed } from "../page/json.js";
import { sourceOf } from "../library/sources.js";
import { submit } from "../tray/tray.js";
import { removeThem } from "../library/marks.js";
import * as errors from "../page/errors.js";
import * as gallery from "../library/gallery.js";
import { fromGeneration, generationBody, order } from "../desk/order.js";
import { difference } from "./difference.js";
import { makeLarger } from "./larger.js";
import { isSheet, saveSheet } from "./sheetfile.js";
import { showCost, showReceipt } from "./papers.js";
import { showSnippets } from "./snippets.js";
import { TEXTS } from "../texts.js";
import { guidesOnWire, hasPixels, partsAgain, regionsOnWire } from "../desk/parts.js";
import { kept, keptSource, take, takeAgain } from "../desk/source/source.js";
import * as stage from "./stage.js";
import { finding } from "./finding.js";

const T = TEXTS.actions;
const LOST = TEXTS.lost;
const NEIGHBOURS = 4;
const HOW_FAR = 0.15;

export const ACTIONS = [
  { id: "vary", name: T.vary, key: "V", says: T.varySays, act: vary, spends: true },
  { id: "input", name: T.useAsInput, key: "I", says: T.inputSays, act: useAsInput },
  { id: "lock", name: T.keepSeed, key: "S", says: T.lockSays, act: keepSeed },
  { id: "settings", name: T.itsSettings, says: T.settingsSays, act: settings },
  { id: "replay", name: T.replay, key: "R", says: T.replaySays, act: replay, spends: true },
  { id: "copy", name: T.copyRequest, key: "C", says: T.copySays, act: copy },
  { id: "png", quiet: true, name: "PNG", says: T.pngSays, act: (tile) => download(tile, "png") },
  { id: "jpg", quiet: true, name: "JPEG", says: T.jpgSays, act: (tile) => download(tile, "jpg") },
  { id: "webp", quiet: true, name: "WebP", says: T.webpSays, act: (tile) => download(tile, "webp") },
  { id: "sprite", quiet: true, name: T.sprite, says: T.spriteSays, act: (tile) => download(tile, "sprite.png"), only: ({ request }) => Boolean(spritePixels(request)) },
  { id: "sheet", quiet: true, name: T.sheet, says: T.sheetSays, act: saveSheet, only: isSheet },
  { id: "larger", quiet: true, name: T.larger, says: T.largerSays, act: makeLarger },
  { id: "receipt", quiet: true, name: T.receipt, says: T.receiptSays, act: ({ picture }) => showReceipt(picture) },
  { id: "cost", quiet: true, name: T.whatItCost, says: T.costSays, act: (tile) => showCost(tile) },
  { id: "delete", quiet: true, name: T.delete, says: T.deleteSays, act: forget },
];

/** Runs an action on the picture looked at; a refusal is told under it. */
export async function run(action) {
  const tile = stage.looked();
  if (!tile?.picture) return;
  try {
    await action.act(tile);
  } catch (error) {
    expected(error);
    finding(h("p", { class: "error" }, error.message));
  }
}

/** Asks before an action that costs; Enter says yes. */
export function askToSpend(action) {
  if (!stage.looked()?.picture) return;
  const yes = h("button", { onclick: () => {
    finding();
    run(action);
  } }, action.name);
  finding(h("p", { class: "finding" }, `${action.says}. `, yes));
  yes.focus();
}

/** The followed pictures and masked regions of a generation, from the server; what it has no more is told. */
async function partsOf(g) {
  if (!hasPixels(g)) return {};
  try {
    return await partsAgain(g, kept);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { controls = [], regions = [] } = g;
    notice(LOST.without([controls.length && LOST.followed, regions.some(({ box }) => !box) && LOST.masks].filter(Boolean).join(LOST.and)));
    return {};
  }
}

/** The same as the API takes them. */
async function partsBody(g) {
  const { controls, regions } = await partsOf(g);
  return { ...(controls?.length && { controls: guidesOnWire(controls) }), ...(regions?.length && { regions: regionsOnWire(regions) }) };
}

async function generationOf({ picture, request }) {
  const { parameters, model } = await get(`api/receipts/${picture.id}`);
  const drawnWith = { model: model?.sha256, vae: model?.vae_sha256 };
  return { ...(parameters ?? request.generation), ...drawnWith, samples: 1, seed: picture.seed };
}

async function replay({ picture }) {
  finding(h("p", { class: "finding" }, T.drawingItAgain));
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
  submit([{ body: { ...generationBody(g), ...await partsBody(g), ...await sourceFields(tile, g), ...variation } }]);
}

async function useAsInput({ picture }) {
  const blob = await (await call(`api/pictures/${picture.id}.png`)).blob();
  order.set({ img_width: picture.width, img_height: picture.height });
  await take(new File([blob], `${picture.id}.png`, { type: "image/png" }));
}

function keepSeed({ picture }) {
  order.set({ seed: picture.seed, locked: true });
  finding(h("p", { class: "finding" }, T.seedIsKept(picture.seed)));
}

async function settings(tile) {
  const g = await generationOf(tile);
  errors.clear();
  order.set({ ...fromGeneration(g), image: null });
  order.set(await partsOf(g));
  if (g.source) await takeAgain(await sourceFields(tile, g));
}

async function copy(tile) {
  const g = await generationOf(tile);
  const source = g.source ? sourceOf(tile.request?.request_id) : null;
  showSnippets({ ...generationBody(g), ...await partsBody(g), ...source }, g.source && !source ? tile.picture.id : null);
}

async function download({ picture }, format) {
  const address = await fetchPicture(picture.id, format);
  h("a", { href: address, download: `limner-${picture.seed}-${picture.id.slice(-6)}.${format}` }).click();
}

async function forget({ picture }) {
  const next = gallery.neighbour(1)?.id === picture.id ? gallery.neighbour(-1) : gallery.neighbour(1);
  await removeThem([picture.id]);
  if (next && next.id !== picture.id) gallery.open(next.id);
  else stage.show([]);
  ($(".tile[aria-current=true]") ?? $("#prompt")).focus();
}
