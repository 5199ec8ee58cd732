// What the account asked for before: searched, and taken back to the desk as it was typed.
//
// From the server's stored requests, so that it is the same in every browser; these keep a
// template and the styles apart from what was drawn of them, as a picture's own text does not.

import { expected, get } from "../page/api.js";
import { $, closing, dialog, foot, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { key } from "../page/local.js";
import { notice } from "../page/notice.js";
import { fromGeneration, order } from "./order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;
const C = TEXTS.common;
const LOOKED_AT = 200; // the newest requests
const TAKEN = ["prompt", "negative_prompt", "styles"];

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
  return undefined;
}

/** Each once, the newest first, as it was typed. */
function prompts(requests) {
  const some = requests.filter(({ surface, generation }) => surface !== "replay" && generation).map(({ generation }) => {
    const said = fromGeneration(generation);
    return Object.fromEntries(TAKEN.map((name) => [name, said[name]]));
  });
  return [...new Map(some.reverse().map((one) => [JSON.stringify(one), one])).values()].reverse();
}

function row({ prompt, negative_prompt: negative, styles }, act) {
  const beside = [negative && T.keptOut(negative), ...styles.map(({ name }) => name)].filter(Boolean).join(" · ");
  return h("li", {}, h("button", { onclick: act }, prompt, beside && h("small", {}, beside)));
}

function take(one) {
  const now = order.get();
  const before = Object.fromEntries(TAKEN.map((name) => [name, now[name]]));
  order.set(one);
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
