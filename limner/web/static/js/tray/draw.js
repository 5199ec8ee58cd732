// Draw: puts what is on the desk in line.

import { askForKey } from "../account/account.js";
import { eachOf, order, toBody } from "../desk/order.js";
import { $ } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { key } from "../page/local.js";
import { submit } from "./tray.js";
import { TEXTS } from "../texts.js";

export function setUp() {
  $("#desk").addEventListener("submit", (event) => {
    event.preventDefault();
    draw();
  });
}

/** Puts the order in line, or says what it lacks. */
export function draw() {
  errors.clear();
  if (!key.get()) return askForKey();
  if (!order.get().prompt.trim()) return errors.show(TEXTS.tray.empty);
  return submit(eachOf().map((one, _, { length }) => ({ body: toBody(one), label: length > 1 ? one.prompt : "" })));
}
