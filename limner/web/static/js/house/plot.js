// Bars, one for each day, heard as a sentence.

import { h } from "../page/dom.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.house;
const DAY_MS = 86_400_000;

/**
 * A figure of the last `number` days. `days` are rows with `day` (ISO), those without a request
 * left out; `valueOf(row)` is what is drawn, `said(value)` how it is told. */
export function plot(title, days, number, valueOf, said) {
  const values = new Map(days.map((row) => [row.day, valueOf(row)]));
  const names = Array.from({ length: number }, (_, i) => new Date(Date.now() - (number - 1 - i) * DAY_MS).toISOString().slice(0, 10));
  const all = names.map((name) => values.get(name) ?? 0);
  const most = Math.max(...all, 0);
  const total = all.reduce((sum, value) => sum + value, 0);
  const label = T.plot(title, number, said(total), said(most));
  const bars = all.map((value, i) => h("span", { class: value ? "bar" : "bar none", title: `${names[i]}: ${said(value)}`, style: { "--high": String(most ? value / most : 0) } }));
  return h("figure", { class: "plot" }, h("figcaption", {}, h("b", {}, title), T.inDays(said(total), number)),
    h("div", { class: "bars", role: "img", "aria-label": label }, bars));
}
