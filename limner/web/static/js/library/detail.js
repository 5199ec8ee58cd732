// A picture of the library: its words, settings and relatives.

import { get, thumbnail } from "../page/api.js";
import { $, announce, h } from "../page/dom.js";
import { attempt, notice } from "../page/notice.js";
import { fromGeneration, order } from "../desk/order.js";
import { go } from "../places.js";
import * as found from "./found.js";
import * as gallery from "./gallery.js";
import { mark, removeThem } from "./marks.js";
import * as sprites from "../page/sprites.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.gallery;
const C = TEXTS.common;
const D = TEXTS.desk;
const F = TEXTS.fields;

// What it was drawn with: its name, the desk's fields that it sets, and how it is said.
const SETTINGS = [
  [C.prompt, ["prompt", "styles"], (g) => (g.origin ?? g).prompt],
  [T.negative, ["negative_prompt"], (g) => (g.origin ?? g).negative_prompt],
  [C.model, ["model", "vae"], (g, record) => record.model?.name],
  [F.sampler, ["scheduler", "schedule"], (g) => (g.sampler ? `${g.sampler} ${g.schedule ?? ""}` : g.scheduler)],
  [F.steps, ["num_inference_steps"], (g) => g.steps],
  [F.guidance, ["guidance_scale"], (g) => g.guidance],
  [C.seed, ["seed", "locked"], (g) => g.seed],
  [C.size, ["img_width", "img_height"], (g) => `${g.width}×${g.height}`],
  [F.hires, ["hires"], (g) => g.hires && `${g.hires.width}×${g.hires.height}`],
  [D.loras, ["extra"], (g) => g.loras?.map(({ name, unet }) => `${name} ${unet}`).join(", ")],
];
let shown = null;

export const looked = () => shown;

export function setUp() {
  found.onChange(() => {
    const now = found.all().find(({ id }) => id === shown?.id);
    if (shown && now && now !== shown) star(now);
    if (shown && !now) close();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && shown && !event.defaultPrevented && !$("dialog[open]") && $("#detail").contains(event.target)) close();
  });
}

/** Shows a picture of the library beside the others; `follow`: the focus goes there, too. */
export const look = (picture, { follow = false } = {}) => attempt(async () => {
  shown = picture;
  const box = $("#detail");
  const [record, { from, into }] = await Promise.all([get(`api/receipts/${picture.id}`), get(`api/pictures/${picture.id}/lineage`)]);
  if (shown?.id !== picture.id) return;
  box.hidden = false;
  document.body.dataset.detail = "";
  box.replaceChildren(head(picture), await face(picture), actions(picture), settings(record), ...relatives(T.from, from), ...relatives(T.into, into));
  box.scrollTop = 0;
  if (follow) $("#detail-desk").focus();
});

export function close() {
  const id = shown?.id;
  shown = null;
  $("#detail").hidden = true;
  $("#detail").replaceChildren();
  delete document.body.dataset.detail;
  if (id) $(`#grid [data-id="${id}"] button`)?.focus();
}

const head = (picture) => h("div", { class: "head-of-detail" }, h("h3", {}, words.when(picture.created_at), picture.folder && ` · ${picture.folder}`),
  h("button", { class: "quiet", "aria-label": C.close, onclick: close }, "✕"));

async function face(picture) {
  const address = await thumbnail(picture.id, 512).catch(() => "");
  return sprites.look(h("img", { src: address, alt: picture.prompt, width: picture.width, height: picture.height }), picture);
}

function actions(picture) {
  const button = (id, text, act, more = {}) => h("button", { id: `detail-${id}`, ...more, onclick: () => attempt(act) }, text);
  return h("div", { class: "actions", role: "group", "aria-label": T.withPicture },
    button("desk", T.onDesk, async () => {
      await gallery.openOf(picture);
      go("desk");
    }),
    button("star", T.starIt, () => mark([picture.id], { starred: !shown.starred }), { "aria-pressed": String(picture.starred) }),
    button("remove", C.remove, () => removeThem([picture.id])));
}

function star(picture) {
  shown = picture;
  $("#detail-star")?.setAttribute("aria-pressed", picture.starred);
}

/** Each with a button that takes it over to the desk. */
function settings(record) {
  const g = { ...record.parameters, model: record.model?.sha256, vae: record.model?.vae_sha256 };
  const made = fromGeneration(g);
  const rows = SETTINGS.map(([name, fields, said]) => [name, fields, said(g, record)]).filter(([, , text]) => text);
  const use = (name, fields) => {
    order.set(Object.fromEntries(fields.map((field) => [field, made[field]])));
    announce(T.isOnDesk(name));
    notice(`${T.isOnDesk(name)}.`);
  };
  return h("dl", { class: "settings" }, rows.flatMap(([name, fields, text]) => [
    h("dt", {}, name), h("dd", {}, text),
    h("dd", {}, h("button", { class: "quiet", "aria-label": T.useOf(name), onclick: () => use(name, fields) }, T.use)),
  ]));
}

function relatives(title, pictures) {
  if (!pictures.length) return [];
  const list = h("div", { class: "relatives" });
  for (const picture of pictures.slice(0, 24)) {
    const button = h("button", { class: "thumb", "aria-label": C.titleOf(picture.prompt.slice(0, 80), picture.seed), onclick: () => look(picture, { follow: true }) });
    thumbnail(picture.id, 128).then((address) => button.append(h("img", { src: address, alt: "" })), () => {});
    list.append(button);
  }
  return [h("h3", {}, title), list];
}
