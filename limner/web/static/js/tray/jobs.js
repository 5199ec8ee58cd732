// Submissions on their way: sent once whatever happens, watched to the end, kept over a reload.

import { Refused, Unreachable, get, post, remove } from "../page/api.js";
import { watch } from "../page/events.js";
import { load, save } from "../page/local.js";

// A job is one submission: `key` is its idempotency key; each part of it is a request
// `{body, label, id}`, with the server's `id` once it is accepted.
let jobs = load("jobs", []);
const LARGE = 1_000_000;

function keep() {
  const small = jobs.map((job) => ({ ...job, parts: job.parts.map((part) => (part.id ? { ...part, body: shape(part.body) } : part)) }));
  // The browser has no room for large sources: then those wait in this page only.
  if (!save("jobs", small)) save("jobs", small.filter((job) => JSON.stringify(job).length < LARGE));
}

// Once accepted, the server has the rest.
const shape = ({ img_width, img_height, samples }) => ({ img_width, img_height, samples });

export const all = () => [...jobs];

/** A new job of `[{body, label}]`; nothing is sent yet. */
export function add(parts) {
  const job = { key: randomKey(), parts: parts.map(({ body, label = "" }) => ({ body, label, id: null })) };
  jobs.push(job);
  keep();
  return job;
}

const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export function forget(job) {
  jobs = jobs.filter((other) => other !== job);
  keep();
}

async function send(job, signal) {
  const body = { requests: job.parts.map((part) => part.body) };
  const { requests } = await post("api/requests", body, { headers: { "idempotency-key": job.key }, signal });
  job.parts.forEach((part, i) => { part.id = requests[i].request_id; });
  keep();
}

/**
 * Sends a job until the server has it. A server that is gone or full is tried again with the same
 * idempotency key, so that nothing is drawn or billed twice; `onWait(error, seconds, tryNow)` tells.
 */
export async function submit(job, { signal, onWait }) {
  for (let tries = 0; !job.parts[0].id; tries++) {
    try {
      await send(job, signal);
    } catch (error) {
      const again = error instanceof Unreachable || (error instanceof Refused && [429, 503].includes(error.status));
      if (!again) throw error;
      const wait = error.retryAfter || Math.min(30, 2 ** tries);
      await pause(wait, signal, (tryNow) => onWait(error, wait, tryNow));
    }
  }
}

const pause = (seconds, signal, offer) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  offer(() => { clearTimeout(timer); resolve(); });
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

/** Events of an accepted part, then `{type: "stored", data: request}` when pictures are there. */
export async function* follow(part, signal) {
  for await (const event of watch(part.id, signal)) {
    yield event;
    if (event.type === "finished") yield { type: "stored", data: await get(`api/requests/${part.id}`, { signal }) };
  }
}

/** Ends a job on the server, in whatever state it is, also one whose acceptance was not heard. */
export async function cancel(job) {
  if (!job.parts[0].id) {
    try {
      await send(job);
    } catch {
      return; // the server does not have it
    }
  }
  await Promise.all(job.parts.map((part) => remove(`api/requests/${part.id}`)));
}
