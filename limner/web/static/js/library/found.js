// The pictures that the library shows, newest first.

import { get } from "../page/api.js";
import * as gallery from "./gallery.js";

const PAGE = 100;
const listeners = [];
let wanted = {};
let pictures = [];
let next = null;
let turn = 0; // an answer that comes after another was asked for is not shown
let loading = false;

/** `fn()` whenever there are others than before. */
export const onChange = (fn) => listeners.push(fn);
const tell = () => listeners.forEach((fn) => fn());

export const all = () => pictures;
export const hasMore = () => next !== null;
export const isSearch = () => Object.keys(wanted).length > 0;
export const inRemoved = () => Boolean(wanted.removed);

/** Looks for what `fields` say, under the names of the API; what is empty is not asked about. */
export function look(fields) {
  wanted = fields;
  return reload();
}

export async function reload() {
  const mine = ++turn;
  const page = await ask(null);
  if (mine !== turn) return;
  ({ pictures, next } = page);
  tell();
}

/** Puts what is new in front, and leaves the rest as it is. */
export async function refresh() {
  const mine = turn;
  const page = await ask(null);
  if (mine !== turn) return;
  const known = new Set(page.pictures.map(({ id }) => id));
  const rest = pictures.filter(({ id }) => !known.has(id));
  if (!pictures.length) ({ next } = page);
  pictures = [...page.pictures, ...rest];
  tell();
}

/** Loads older ones, unless they are on their way or there are none. */
export async function more() {
  if (next === null || loading) return;
  loading = true;
  const mine = turn;
  try {
    const page = await ask(next);
    if (mine !== turn) return;
    const known = new Set(pictures.map(({ id }) => id));
    pictures = [...pictures, ...page.pictures.filter(({ id }) => !known.has(id))];
    ({ next } = page);
    tell();
  } catch {
    // The next scroll asks again.
  } finally {
    loading = false;
  }
}

function ask(after) {
  const query = new URLSearchParams({ ...wanted, limit: PAGE, ...(after ? { after } : {}) });
  return get(`api/pictures?${query}`);
}

/** Says of pictures what has just been said of them on the server. */
export function change(ids, marks) {
  const gone = (picture) => ids.includes(picture.id) && (marks.removed ?? inRemoved()) !== inRemoved();
  pictures = pictures.filter((picture) => !gone(picture))
    .map((picture) => (ids.includes(picture.id) ? { ...picture, ...marks } : picture));
  if (marks.removed) ids.forEach(gallery.drop);
  tell();
}
