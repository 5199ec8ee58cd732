// Submissions that the server has not accepted yet: sent once, kept over a reload.

import { Refused, Unreachable, post } from "../page/api.js";
import * as drawer from "../page/drawer.js";
import { key, load, names, save } from "../page/local.js";

// Each lies under a name of its own, so that two tabs do not overwrite each other's:
// `{key, owner, parts}`, the idempotency key, whose it is, and `[{body, label}]`.
const PREFIX = "job.";
const LARGE = 1_000_000;

const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A new submission of `[{body, label}]`; nothing is sent yet. */
export function make(parts) {
  const job = { key: randomKey(), owner: key.begins(), parts };
  // One with large sources goes into the drawer.
  if (JSON.stringify(job).length >= LARGE || !save(PREFIX + job.key, job)) drawer.put(job, PREFIX + job.key);
  return job;
}

export function forget(job) {
  save(PREFIX + job.key, null);
  drawer.put(null, PREFIX + job.key);
}

/** What a closed tab, or this one before it went to another key, left unsent with this key. */
export async function left() {
  const large = await Promise.all((await drawer.names(PREFIX)).map((name) => drawer.take(name)));
  return [...names(PREFIX).map((name) => load(name)), ...large].filter((job) => job?.owner === key.begins());
}

const send = (job, signal) => post("api/requests", { requests: job.parts.map((part) => part.body) }, { headers: { "idempotency-key": job.key }, signal });

/**
 * Sends a job until the server has it; returns its requests. A server that is gone or full is asked
 * again with the same idempotency key, so that nothing is drawn or billed twice;
 * `onWait(error, seconds, tryNow)` tells. Raises `Refused`.
 */
export async function submit(job, { signal, onWait }) {
  for (let tries = 0; ; tries++) {
    try {
      return (await send(job, signal)).requests;
    } catch (error) {
      const again = error instanceof Unreachable || (error instanceof Refused && [429, 503].includes(error.status));
      if (!again) throw error;
      const wait = error.retryAfter || Math.min(30, 2 ** tries);
      await pause(wait, signal, (tryNow) => onWait(error, wait, tryNow));
    }
  }
}

/** What the server has of a job whose acceptance was not heard; an empty list where nothing. */
export async function accepted(job) {
  try {
    return (await send(job)).requests;
  } catch {
    return [];
  }
}

const pause = (seconds, signal, offer) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  offer(() => { clearTimeout(timer); resolve(); });
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});
