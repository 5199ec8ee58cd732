// What the account asked for before, as it was typed: the server's stored requests keep a template
// and the styles apart from what was drawn of them.

import { expected, get } from "../page/api.js";
import { $, closing, dialog, foot, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { key } from "../page/local.js";
import { notice } from "../page/notice.js";
import { CHOICES } from "./fields.js";
import { fromGeneration, order } from "./order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;
const C = TEXTS.common;
const LOOKED_AT = 200; // the newest requests
const TAKEN = ["prompt", "negative_prompt", "styles", "template"];

export function setUp() {
  $("#history-open").addEventListener("click", () => key.get() && open());
}

export async function open() {
  let asked;
  try {
    asked = prompts((await get(`api/requests?limit=${LOOKED_AT}`)).requests);
  } catch (error) {
    expected(error);
    return errors.show(error.message);
  }
  const list = h("ul", { class: "asked", onkeydown: walk });
  const fill = (wanted) => {
    const fitting = asked.filter(({ prompt, negative_prompt: negative }) => `${prompt} ${negative}`.toLowerCase().includes(wanted.toLowerCase()));
    list.replaceChildren(...(fitting.length ? fitting.map((one) => row(one, () => {
      box.close();
      take(one);
    })) : [h("li", { class: "note" }, asked.length ? T.noneFits : T.noneYet)]));
  };
  const box = dialog(T.earlier, h("input", { type: "text", placeholder: C.search, "aria-label": T.search,
    oninput: (event) => fill(event.target.value), onkeydown: (event) => event.key === "ArrowDown" && walk(event, $("button", list)) }), list,
  foot(closing(C.close)));
  fill("");
  $("input", box).focus();
}

/** Each once, the newest first, as it was typed. */
function prompts(requests) {
  const some = requests.filter(({ surface, generation }) => surface !== "replay" && generation).map(({ generation }) => {
    const { origin, loras = [] } = generation;
    const said = { ...fromGeneration({ ...generation, origin: origin && { ...origin, template: false } }), template: origin?.template ? CHOICES : null };
    return { ...Object.fromEntries(TAKEN.map((name) => [name, said[name]])), loras: said.extra.loras, named: loras.map(({ name }) => name) };
  });
  return [...new Map(some.reverse().map((one) => [JSON.stringify(one), one])).values()].reverse();
}

function row({ prompt, negative_prompt: negative, styles, named }, act) {
  const beside = [negative && T.keptOut(negative), ...styles.map(({ name }) => name), ...named].filter(Boolean).join(" · ");
  return h("li", {}, h("button", { onclick: act }, prompt, beside && h("small", {}, beside)));
}

function take({ loras, named, ...one }) {
  const now = order.get();
  const before = Object.fromEntries([...TAKEN, "extra"].map((name) => [name, now[name]]));
  const { loras: _, ...extra } = now.extra;
  order.set({ ...one, extra: loras ? { ...extra, loras } : extra });
  $("#prompt").focus();
  notice(T.onDesk, C.undo, () => order.set(before));
}

/** Arrows go from prompt to prompt. */
function walk(event, first = null) {
  const by = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
  const next = first ?? $("button", event.target.closest("li")?.[by] ?? document.createElement("p"));
  if (!by || !next) return;
  event.preventDefault();
  next.focus();
}
