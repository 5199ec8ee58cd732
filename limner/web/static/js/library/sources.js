// What requests of this page were sent with, so that a variation need not fetch it.

const KEPT = 20;
const sources = new Map();

export function rememberSource(id, { image, mask, strength, resize_mode, mask_blur }) {
  sources.set(id, { image, strength, resize_mode, ...(mask ? { mask, mask_blur } : {}) });
  if (sources.size > KEPT) sources.delete(sources.keys().next().value);
}

/** The source fields a request was sent with, while this page is open; else null. */
export const sourceOf = (id) => sources.get(id) ?? null;
