// Server-sent events over fetch: EventSource cannot send the key in a header.

import { Refused, get, request } from "./api.js";
import * as json from "./json.js";
import { TEXTS } from "../texts.js";

const ENDS = new Set(["finished", "failed"]);
const WAIT_MS = [300, 1000, 2000, 4000];

/** Events of a request, each `{type, data}`; reconnects where it left off; ends with the request. */
export async function* watch(id, signal) {
  let last = "";
  for (let failures = 0; ;) {
    try {
      const headers = last ? { "last-event-id": last } : {};
      const answer = await request(`api/requests/${id}/events`, { headers, signal });
      for await (const event of read(answer.body)) {
        failures = 0;
        if (event.id) last = event.id;
        yield event;
        if (ENDS.has(event.type)) return;
      }
    } catch (error) {
      if (signal?.aborted || (error instanceof Refused && error.status < 500)) throw error;
      yield { type: "offline", data: {} };
    }
    await pause(WAIT_MS[Math.min(failures++, WAIT_MS.length - 1)], signal);
    const ended = await ending(id, signal);
    if (ended) return yield ended;
  }
}

/** The stream may be gone because the work is: then the stored request tells how it ended. */
async function ending(id, signal) {
  try {
    const stored = await get(`api/requests/${id}`, { signal });
    if (stored.status === "COMPLETED") return { type: "finished", data: stored };
    if (stored.status === "FAILED" || stored.status === "CANCELLED") {
      return { type: "failed", data: { error: stored.error ?? TEXTS.tray.cancelled, status: stored.status } };
    }
  } catch (error) {
    if (signal?.aborted || (error instanceof Refused && error.status < 500)) throw error;
  }
  return null;
}

/** Parses the event stream format (HTML standard, section 9.2.6). */
export async function* read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = blank();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line) add(event, line);
        else {
          if (event.lines.length) yield { type: event.type, id: event.id, data: json.parse(event.lines.join("\n")) };
          event = blank();
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const blank = () => ({ type: "message", id: "", lines: [] });

function add(event, line) {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "data") event.lines.push(value);
  else if (name === "event") event.type = value;
  else if (name === "id") event.id = value;
}

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  }, { once: true });
});
