// Submissions that the server has not accepted yet: sent once whatever happens, kept over a reload.

import { Refused, Unreachable, post } from "../page/api.js";
import { key, load, names, save } from "../page/local.js";

// Each lies under a name of its own, so that two tabs do not overwrite each other's:
// `{key, owner, parts}`, the idempotency key, whose it is, and `[{body, label}]`.
const PREFIX = "job.";
const LARGE = 1_000_000;
const OWNER_LETTERS = 11; // enough to know a key by, too few to use

const owner = () => key.get().slice(0, OWNER_LETTERS);
const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A new submission of `[{body, label}]`; nothing is sent yet. */
export function make(parts) {
  const job = { key: randomKey(), owner: owner(), parts };
  // The browser has no room for large sources: those wait in this page only.
  if (JSON.stringify(job).length < LARGE) save(PREFIX + job.key, job);
  return job;
}

export const forget = (job) => save(PREFIX + job.key, null);

/** What a closed tab left unsent with this key. */
export const left = () => names(PREFIX).map((name) => load(name)).filter((job) => job?.owner === owner());

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
