// The selected pictures, and what can be done with all of them.

import { $, dialog, foot, h, saveFile } from "../page/dom.js";
import { get, request } from "../page/api.js";
import { attempt } from "../page/notice.js";
import { compare } from "./compare.js";
import { bringBack, mark, removeThem } from "./marks.js";
import { fillFolders } from "./search.js";
import * as found from "./found.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.gallery;
const C = TEXTS.common;
const EXPORTED_MAX = 500;
const chosen = new Set();
const listeners = [];
let last = null; // where a range begins

/** `fn()` whenever another picture is selected or none is any more. */
export const onChange = (fn) => listeners.push(fn);
export const has = (id) => chosen.has(id);
export const some = () => chosen.size > 0;

export function setUp() {
  found.onChange(() => {
    const there = new Set(found.all().map(({ id }) => id));
    for (const id of chosen) if (!there.has(id)) chosen.delete(id);
    show();
  });
}

/** Selects a picture, or no longer; with `range` all from the last one to it. */
export function choose(id, { range = false } = {}) {
  const ids = found.all().map((picture) => picture.id);
  const from = ids.indexOf(last);
  if (range && from >= 0) {
    const [low, high] = [from, ids.indexOf(id)].sort((a, b) => a - b);
    ids.slice(low, high + 1).forEach((one) => chosen.add(one));
  } else if (!chosen.delete(id)) chosen.add(id);
  last = id;
  show();
}

/** Selects all that are loaded. */
function chooseAll() {
  for (const { id } of found.all()) chosen.add(id);
  show();
}

function clear() {
  chosen.clear();
  show();
  $("#grid button")?.focus();
}

function show() {
  const bar = $("#chosen");
  bar.hidden = !chosen.size;
  const pictures = found.all().filter(({ id }) => chosen.has(id));
  const starred = pictures.length > 0 && pictures.every((picture) => picture.starred);
  const button = (id, text, act, more = {}) => h("button", { id: `chosen-${id}`, onclick: () => attempt(act), ...more }, text);
  const focused = bar.contains(document.activeElement) ? document.activeElement.id : null;
  bar.replaceChildren(
    h("span", { role: "status" }, T.selected(chosen.size)),
    ...(found.inRemoved() ? [button("back", T.back, () => bringBack([...chosen]))] : [
      button("star", starred ? T.unstar : T.star, () => mark([...chosen], { starred: !starred })),
      button("folder", T.folder, askFolder),
      button("zip", T.zip, save),
      ...(chosen.size === 2 ? [button("compare", T.compare, () => compare(...pictures))] : []),
      button("remove", C.remove, () => removeThem([...chosen])),
    ]),
    button("all", T.every, chooseAll),
    button("none", "✕", clear, { class: "quiet", "aria-label": T.selectNone }),
  );
  if (focused) $(`#${focused}`)?.focus();
  listeners.forEach((fn) => fn());
}

async function askFolder() {
  const { folders } = await get("api/folders");
  const name = h("input", { type: "text", id: "folder-name", maxlength: "120", list: "folder-names" });
  const names = h("datalist", { id: "folder-names" }, folders.map((folder) => h("option", { value: folder.name })));
  const put = async (folder) => {
    box.close();
    await attempt(async () => {
      await mark([...chosen], { folder });
      await fillFolders();
    });
  };
  const form = h("form", { method: "dialog", onsubmit: (event) => {
    event.preventDefault();
    if (name.value.trim()) put(name.value.trim());
  } }, h("label", { for: "folder-name" }, T.folderName), name, names,
  foot(h("button", { onclick: () => put("") }, T.noFolder), h("button", { type: "submit", class: "primary" }, T.put)));
  const box = dialog(T.intoFolder, form);
  name.focus();
}

async function save() {
  const ids = [...chosen];
  if (ids.length > EXPORTED_MAX) throw new Error(T.tooMany(ids.length, EXPORTED_MAX));
  const answer = await request("api/pictures/export", { method: "POST", body: { ids } });
  saveFile(await answer.blob(), `limner-${ids.length}-pictures.zip`);
}
