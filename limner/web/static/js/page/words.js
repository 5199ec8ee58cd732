// How amounts, times and queues are said.

import { TEXTS } from "../texts.js";

const T = TEXTS.says;

/** Credits as a plain decimal, with what is not zero: 0.0026, 12.5. */
export function credits(value) {
  const number = Number(value);
  if (!Number.isFinite(number)) return String(value);
  return number.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 6, useGrouping: true });
}

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 1) return T.soon;
  if (value < 90) return T.seconds(Math.round(value));
  return T.minutes(Math.round(value / 60));
}

/** Whose turn is next; `position` counts from 1, the next to be drawn. */
export function queue(position, estimate) {
  const time = estimate ? T.about(seconds(estimate)) : "";
  return (position > 1 ? T.ahead(position - 1) : T.next) + time;
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
  const sprite = spritePixels ? T.sprite(`${width / spritePixels}×${height / spritePixels}`) : "";
  return `${width}×${height}${sprite}`;
}
