// Stars, folders and removal of pictures, and how they are undone.

import { patch } from "../page/api.js";
import { notice } from "../page/notice.js";
import * as found from "./found.js";
import * as gallery from "./gallery.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.gallery;
const C = TEXTS.common;

/** Says `marks` of the pictures with these ids. */
export async function mark(ids, marks) {
  await patch("api/pictures", { ids, ...marks });
  found.change(ids, marks);
}

/** Takes pictures out of sight; for a while a click brings them back. */
export async function removeThem(ids) {
  await mark(ids, { removed: true });
  notice(T.removed(ids.length), C.undo, () => bringBack(ids));
}

export async function bringBack(ids) {
  await mark(ids, { removed: false });
  await Promise.all([gallery.refresh(), found.refresh()]);
  notice(T.broughtBack(ids.length));
}
