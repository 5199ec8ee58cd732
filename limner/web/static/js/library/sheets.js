// Which requests were drawn as one sheet, and each one's label.

import { load, save } from "../page/local.js";

const KEPT = 50;

/** `[{id, label}]` of requests that belong together. */
export const rememberSheet = (parts) => save("sheets", [parts, ...(load("sheets") ?? [])].slice(0, KEPT));

/** The sheet a request belongs to; itself alone where to none. */
export const sheetOf = (id) => (load("sheets") ?? []).find((parts) => parts.some((part) => part.id === id)) ?? [{ id, label: "" }];
