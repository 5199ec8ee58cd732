// What is looked for in the library.

import { get } from "../page/api.js";
import { $, debounce, h } from "../page/dom.js";
import { onGo } from "../places.js";
import * as found from "./found.js";
import * as gallery from "./gallery.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.gallery;

// Values of the folder's list that are no folder.
const ALL = "all";
const NONE = "none";
const REMOVED = "removed";
const named = (folder) => `in ${folder}`;

let shown = false;

export function setUp() {
  const form = $("#search");
  const soon = debounce(look, 250);
  form.addEventListener("input", soon);
  form.addEventListener("change", look);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  form.addEventListener("reset", () => setTimeout(look));
  gallery.onChange(debounce(() => shown && quietly(found.refresh), 300));
  onGo(enter);
}

async function enter(place) {
  if (place !== "library") {
    shown = false;
    return;
  }
  shown = true;
  await quietly(fillFolders);
  await (found.all().length ? quietly(found.refresh) : look());
}

/** What the form asks for, under the names of the API. */
function asked() {
  const { folder, starred, ...fields } = Object.fromEntries(new FormData($("#search")));
  const said = Object.entries(fields).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
  const where = { [ALL]: {}, [NONE]: { folder: "" }, [REMOVED]: { removed: "true" } }[folder ?? ALL];
  return { ...Object.fromEntries(said), ...(where ?? { folder: folder.slice(3) }), ...(starred ? { starred: "true" } : {}) };
}

async function look() {
  const error = $("#search-error");
  try {
    await found.look(asked());
    error.hidden = true;
  } catch (refused) {
    error.textContent = refused.message;
    error.hidden = false;
  }
}

/** Reads the folders again; the one that is chosen stays. */
export async function fillFolders() {
  const { folders } = await get("api/folders");
  const list = $("#search [name=folder]");
  const { value } = list;
  const option = (name, text) => h("option", { value: name }, text);
  list.replaceChildren(option(ALL, T.all), option(NONE, T.inNone),
    ...folders.map(({ name, pictures }) => option(named(name), `${name} (${pictures})`)), option(REMOVED, T.removedOnes));
  if ([...list.options].some((one) => one.value === value)) list.value = value;
}

/** What fails in the background is asked again with the next change. */
async function quietly(work) {
  await work().catch(() => {});
}
