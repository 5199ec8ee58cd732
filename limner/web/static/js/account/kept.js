// The keys that were let in from this browser.

import { key, load, save } from "../page/local.js";

const all = () => load("keys") ?? [];

/** Every key but the one in use, as `{secret, name}`. */
export const others = () => all().filter(({ secret }) => secret !== key.get());
export const remember = (secret, name) => save("keys", [{ secret, name }, ...all().filter((one) => one.secret !== secret)]);
export function forget(secret) {
  save("keys", all().filter((one) => one.secret !== secret));
  if (load("key") === secret) save("key", null);
}
