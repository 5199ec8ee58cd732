// Requests that wait change places: by buttons, or Shift with an arrow.

import { expected, post } from "../page/api.js";
import { announce, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import * as tabs from "../page/tabs.js";
import * as entries from "./entries.js";
import { look } from "./tray.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.tray;
const WAYS = [{ by: -1, sign: "‹", says: T.sooner }, { by: 1, sign: "›", says: T.later }];
const KEYS = { ArrowLeft: -1, ArrowRight: 1 };

/** The buttons of a card; `show` them where there is something to change places with. */
export function buttons(entry, name) {
  const made = WAYS.map(({ by, sign, says }) => h("button", { class: "icon job-move", hidden: true,
    title: T.way(says, by < 0 ? "←" : "→"), "aria-label": T.move(says, name), onclick: () => move(entry, by) }, sign));
  return { made, show: () => made.forEach((node) => { node.hidden = !entry.queued || entries.waiting().length < 2; }) };
}

/** What a key pressed on a card does. */
export function pressed(event, entry) {
  const by = event.shiftKey && KEYS[event.key];
  if (!by) return;
  event.preventDefault();
  event.stopPropagation();
  move(entry, by);
}

async function move(entry, by) {
  const line = entries.waiting();
  const other = line.includes(entry) && line[line.indexOf(entry) + by];
  if (!other) return announce(by < 0 ? T.noneBefore : T.noneBehind);
  try {
    await post("api/queue/move", { id: entry.id, [by < 0 ? "before" : "after"]: other.id });
    announce((by < 0 ? T.before : T.behind)((other.label || other.prompt).slice(0, 80)));
  } catch (error) {
    expected(error);
    errors.show(error.message);
  }
  await look();
  return tabs.tell("changed");
}
