// A finished picture made larger, free of charge, and saved.

import { get, request } from "../page/api.js";
import { closing, dialog, foot, h, labelled, saveFile } from "../page/dom.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.stage;
const C = TEXTS.common;
const BUILT_IN = ["Lanczos", "Nearest", "Scale2x"];
const SCALES = [2, 3, 4];

export async function makeLarger({ picture }) {
  const files = (await get("api/models")).filter((row) => row.usable && row.kind === "upscaler");
  const upscaler = h("select", { id: "larger-by" }, [...BUILT_IN, ...files.map((row) => row.name)].map((name) => h("option", { value: name }, name)));
  const scale = h("select", { id: "larger-scale" }, SCALES.map((times) => h("option", { value: times }, T.times(times, `${picture.width * times}×${picture.height * times}`))));
  const told = h("p", { class: "price", role: "status" });
  const button = h("button", { type: "submit", class: "primary", id: "larger-save" }, T.saveIt);
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    told.textContent = T.making;
    told.textContent = await save(picture, upscaler.value, Number(scale.value)).catch((error) => error.message);
    button.disabled = false;
  } }, h("p", { class: "note" }, T.largerSays),
  labelled("larger-by", T.upscaler, upscaler),
  labelled("larger-scale", C.size, scale),
  foot(told, closing(C.close), button));
  dialog(T.larger, form);
}

async function save({ id, seed, width, height }, upscaler, scale) {
  const answer = await request("api/upscale", { method: "POST", body: { picture: id, upscaler, scale } });
  saveFile(await answer.blob(), `limner-${seed}-${width * scale}x${height * scale}.png`);
  return T.saved;
}
