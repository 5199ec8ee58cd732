// How amounts, times and queues are said.

/** Credits as a plain decimal, with what is not zero: 0.0026, 12.5. */
export function credits(value) {
  const number = Number(value);
  if (!Number.isFinite(number)) return String(value);
  return number.toLocaleString("en", { maximumFractionDigits: 6, useGrouping: true });
}

export const count = (number, one, many = `${one}s`) => `${Number(number).toLocaleString("en")} ${Number(number) === 1 ? one : many}`;

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 1) return "under a second";
  if (value < 90) return `${Math.round(value)} s`;
  return `${Math.round(value / 60)} min`;
}

/** Whose turn is next; `position` counts from 1, the next to be drawn. */
export function queue(position, estimate) {
  const time = estimate ? `, about ${seconds(estimate)}` : "";
  return position > 1 ? `${position - 1} ahead of yours${time}` : `Yours is next${time}`;
}

export function when(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return "";
  const today = new Date().toDateString() === date.toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
}

/** A picture's size; of a model that paints sprites also the sprite's own, in its true pixels. */
export function size({ width, height }, spritePixels) {
  const sprite = spritePixels ? `, a sprite of ${width / spritePixels}×${height / spritePixels}` : "";
  return `${width}×${height}${sprite}`;
}
