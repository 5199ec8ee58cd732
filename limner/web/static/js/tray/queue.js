// One line on the queue.

import { Refused, get } from "../page/api.js";
import { $ } from "../page/dom.js";
import * as entries from "./entries.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.tray;
const LOOK_MS = 5000;

export async function setUp() {
  entries.watch(show);
  for (;;) {
    if (!document.hidden && !entries.open().length) await ask();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

let busy = false;

function show() {
  const open = entries.open();
  if (!open.length) {
    if (busy) ask();
    busy = false;
    return;
  }
  busy = true;
  const drawn = open.find((entry) => entry.state === "drawing");
  const others = open.length - 1;
  const first = drawn ? T.now(drawn.word) : open[0].word;
  $("#queue").textContent = others ? T.others(first, others) : first;
}

async function ask() {
  try {
    const { waiting, running } = await get("health/ready");
    if (entries.open().length) return;
    const told = [waiting && T.waiting(waiting), running && T.running(running)].filter(Boolean);
    $("#queue").textContent = told.join(", ") || T.nobody;
  } catch (error) {
    if (!entries.open().length) $("#queue").textContent = error instanceof Refused && error.status !== 503 ? "" : error.message;
  }
}
