// Whether there are single keys, and whether they may spend.

import { load, save } from "./local.js";

const DEFAULTS = { singleKeys: true, askToSpend: true };

export const setting = (name) => load("settings", {})[name] ?? DEFAULTS[name];
export const set = (name, value) => save("settings", { ...load("settings", {}), [name]: value });
