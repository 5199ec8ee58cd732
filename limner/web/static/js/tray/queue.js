// One line on the queue: one's own turn, else how many wait on the server.

import { Refused, get } from "../page/api.js";
import { $ } from "../page/dom.js";
import * as words from "../page/words.js";
import * as entries from "./entries.js";

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
  const first = drawn ? `Drawing, ${drawn.word.toLowerCase()}` : open[0].word;
  $("#queue").textContent = others ? `${first}; ${words.count(others, "other")} in line` : first;
}

async function ask() {
  try {
    const { waiting, running } = await get("health/ready");
    if (entries.open().length) return;
    const told = [waiting && `${words.count(waiting, "request")} waiting`, running && `${running} being drawn`].filter(Boolean);
    $("#queue").textContent = told.join(", ") || "Nobody is waiting";
  } catch (error) {
    if (!entries.open().length) $("#queue").textContent = error instanceof Refused && error.status !== 503 ? "" : error.message;
  }
}
