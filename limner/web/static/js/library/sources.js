// What requests of this page were sent with: a variation need not fetch it.

const KEPT = 20;
const sources = new Map();

export function rememberSource(id, { image, mask, strength, resize_mode, mask_blur, mask_fill, only_masked, mask_padding }) {
  const masked = mask ? { mask, mask_blur, mask_fill, only_masked, mask_padding } : {};
  const said = Object.entries({ image, strength, resize_mode, ...masked }).filter(([, value]) => value !== undefined);
  sources.set(id, Object.fromEntries(said));
  if (sources.size > KEPT) sources.delete(sources.keys().next().value);
}

/** The source fields a request was sent with, while this page is open; else null. */
export const sourceOf = (id) => sources.get(id) ?? null;
