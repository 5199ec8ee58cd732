// What stands under a picture: its facts, and what can be done with it.

import { $, h } from "../page/dom.js";
import { onLearn, spritePixels } from "../page/sprites.js";
import { ACTIONS, run } from "./actions.js";
import { cancelLooked } from "../tray/tray.js";
import * as stage from "./stage.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.stage;
const C = TEXTS.common;
const S = TEXTS.says;

export function setUp() {
  stage.onLook(show);
  onLearn(() => {
    shown = null;
    show(stage.looked());
  });
}

let shown = null;

function show(tile) {
  const id = tile?.picture ? `${tile.picture.id} ${Boolean(tile.request)}` : null;
  if (id !== null && id === shown) return;
  shown = id;
  const box = $("#under");
  if (!tile?.picture) return showTurn(box, tile);
  return box.replaceChildren(...[tile.prompt && h("p", { class: "said" }, tile.prompt), facts(tile), adjustments(tile), actions(tile, false), actions(tile, true), h("div", { id: "finding", role: "status" })].filter(Boolean));
}

/** While it waits or is drawn: how far it is, and the way out. What has the focus stays. */
function showTurn(box, tile) {
  if (!["waiting", "drawing"].includes(tile?.state)) return box.replaceChildren();
  if (!$("#act-cancel", box)) {
    box.replaceChildren(h("p", { class: "turn" }), h("div", { class: "actions" },
      h("button", { id: "act-cancel", "aria-keyshortcuts": "Escape", onclick: cancelLooked }, T.cancel, h("kbd", { "aria-hidden": "true" }, "Esc"))));
  }
  $(".turn", box).textContent = tile.turn ?? "";
}

function facts({ picture, request, took }) {
  const time = took ?? request?.infer_time;
  const g = request?.generation;
  const each = request && request.pictures.length ? Number(request.cost) / request.pictures.length : null;
  const told = [
    [T.seed, String(picture.seed)],
    request?.model && [T.model, request.model],
    time && [T.time, S.seconds(Number(time).toFixed(1))],
    each !== null && [T.cost, C.credits(words.credits(each))],
    g?.loras?.length && [TEXTS.desk.loras, g.loras.map(({ name }) => name).join(", ")],
    [T.size, words.size(picture, spritePixels(request))],
    g && [T.drawnIn, T.how(g.steps, g.sampler ? `${g.sampler} ${g.schedule}` : g.scheduler, g.guidance)],
  ].filter(Boolean);
  // What it was in one line, how it was drawn in the next.
  return h("div", { class: "fact-lines" }, [told.slice(0, -2), told.slice(-2)].map((line) => h("p", { class: "facts" },
    line.map(([name, value]) => h("span", {}, `${name} `, h("b", {}, value))))));
}

function actions(tile, quiet) {
  const some = ACTIONS.filter((action) => Boolean(action.quiet) === quiet && (!action.only || action.only(tile)));
  return h("div", { class: quiet ? "actions more" : "actions", role: "group", "aria-label": quiet ? T.saveAndLook : T.goOn },
    some.map((action) => h("button", {
      class: quiet && "quiet", id: `act-${action.id}`, title: action.says, "aria-keyshortcuts": action.key, onclick: () => run(action),
    }, action.name, action.key && h("kbd", { "aria-hidden": "true" }, action.key))));
}

function adjustments({ request }) {
  const told = request?.adjustments ?? [];
  return told.length ? h("p", { class: "adjusted" }, T.adjusted(told.join("; "))) : null;
}
