// How many pixels of a picture are one of its sprite, by the model that drew it.

import { get } from "./api.js";

const known = new Map(); // by SHA-256: a number, null for a model that paints none or is not here
const asked = new Map();
const listeners = [];
let own = null;

/** The server's own model; its pictures need no question. */
export const setOwn = (about) => { own = about; };

/** `fn()` whenever a model's answer came. */
export const onLearn = (fn) => listeners.push(fn);

/**
 * Of what a request or a picture says of its model: the server's own where it says nothing, null where
 * it paints no sprites or where that is not known yet. */
export function spritePixels(drawnBy) {
  const { model, model_sha256: sha256 } = drawnBy ?? {};
  const unnamed = (model ?? sha256 ?? null) === null;
  if (!own || unnamed || model === own.name || sha256 === own.sha256) return own?.sprite_pixels ?? null;
  if (sha256) ask(sha256);
  return known.get(sha256) ?? null;
}

/** Gives an image of a stored picture its look: the small pixels of a sprite are seen as they are. */
export function look(image, drawnBy) {
  const show = () => image.classList.toggle("crisp", Boolean(spritePixels(drawnBy)));
  show();
  asked.get(drawnBy?.model_sha256)?.then(show);
  return image;
}

function ask(sha256) {
  if (asked.has(sha256)) return;
  asked.set(sha256, get(`api/model?model=${sha256}`).then((about) => about.sprite_pixels ?? null, () => null).then((pixels) => {
    known.set(sha256, pixels);
    listeners.forEach((fn) => fn());
  }));
}
