// Tells the other tabs of the same key what happened in this one.

import { key } from "./local.js";

const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("limner");
const listeners = new Map();

channel?.addEventListener("message", ({ data }) => data.owner === key.begins() && listeners.get(data.name)?.forEach((fn) => fn(data.value)));

/** `fn(value)` when another tab tells `name`. */
export function on(name, fn) {
  listeners.set(name, [...(listeners.get(name) ?? []), fn]);
}

export const tell = (name, value = null) => channel?.postMessage({ name, value, owner: key.begins() });
