// What stands beside Draw when a request is not taken.

import { licenceButton } from "../account/account.js";
import { Refused } from "../page/api.js";
import { h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import * as words from "../page/words.js";
import * as entries from "./entries.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.tray;

/** The server is gone or full: what is kept, and when it is tried again; returns what takes it away. */
export function explainWait(made, error, seconds, tryNow) {
  const gone = !(error instanceof Refused);
  const text = gone
    ? T.keptRequest(error.message)
    : error.message;
  for (const entry of made) entries.say(entry, gone ? T.forServer : T.forPlace);
  return errors.show(T.nextTry(text, words.seconds(Math.max(1, seconds))), h("button", { class: "quiet", onclick: tryNow }, T.tryNow));
}

/** A refusal in the server's own sentence; `again()` sends the same requests once more. */
export function explainRefusal(error, again) {
  if (error.status === 403 && /licen[cs]e/i.test(error.message)) errors.show(error.message, licenceButton(again));
  else if (error.message.startsWith("Insufficient credits")) errors.show(`${error.message}.`, topUp());
  else errors.show(error.message);
}

const topUp = () => h("span", { class: "note" }, T.topUp, h("code", {}, "limner credits grant KEY 10"), ".");
