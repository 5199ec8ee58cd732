// Every call to the server.

import * as json from "./json.js";
import { key } from "./local.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.says;
const root = new URL(".", document.baseURI);

/** The server answered, and refused. */
export class Refused extends Error {
  constructor(status, text, retryAfter) {
    super(text);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** The server did not answer. */
export class Unreachable extends Error {}

/** Throws on what is neither of them: a fault of the page's own. */
export function expected(error) {
  if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
}

const listeners = { credits: [], refused: [], back: [] };
let away = false; // the last call found no server

/**
 * `on("credits", fn)`: a balance was told; `on("refused", fn)`: the key was not let in;
 * `on("back", fn)`: the server answers again. */
export const on = (name, fn) => listeners[name].push(fn);
const tell = (name, value) => listeners[name].forEach((fn) => fn(value));

export const url = (path) => new URL(path.replace(/^\//, ""), root).href;

// Answers overtake each other; the balance is what the request that was sent last was told.
let sent = 0;
let told = 0;

/** A `Response` that is 2xx; raises `Refused` or `Unreachable`. */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const mine = ++sent;
  const head = { ...(key.get() && { "x-api-key": key.get() }), ...headers };
  if (body !== undefined) head["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url(path), {
      method, signal, headers: head, body: body === undefined ? undefined : json.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    away = true;
    throw new Unreachable(T.gone);
  }
  if (away) {
    away = false;
    setTimeout(tell, 0, "back");
  }
  const remaining = answer.headers.get("x-remaining-credits");
  if (remaining !== null && mine > told) {
    told = mine;
    tell("credits", remaining);
  }
  if (answer.ok) return answer;
  throw await refusal(answer);
}

async function refusal(answer) {
  let text = "";
  try {
    text = (await answer.json()).error;
  } catch {
    // A proxy in between answers in its own way.
  }
  if (answer.status === 502 || answer.status === 504) return new Unreachable(T.gone);
  const error = new Refused(
    answer.status,
    typeof text === "string" && text ? text : T.answered(answer.status),
    Number(answer.headers.get("retry-after")) || 0,
  );
  if (answer.status === 401) tell("refused", error);
  return error;
}

/** An answer's JSON; seeds in it are text. */
const read = async (answer) => json.parse(await answer.text());

export const get = async (path, options) => read(await request(path, options));
export const post = async (path, body, options) => read(await request(path, { method: "POST", body, ...options }));
export const patch = async (path, body) => read(await request(path, { method: "PATCH", body }));
export const remove = (path) => request(path, { method: "DELETE" });

const pictures = new Map();
const KEPT = 400;

/** An object URL of a thumbnail, at most `size` pixels long and high (64, 128, 256 or 512). */
export const thumbnail = (id, size) => picture(id, "webp", `?size=${size}`);

/** An object URL of a stored picture's file, fetched once; `format` is png, webp or jpg. */
export function picture(id, format = "png", query = "") {
  const path = `api/pictures/${id}.${format}${query}`;
  if (!pictures.has(path)) {
    const made = request(path).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob));
    made.catch(() => pictures.delete(path));
    pictures.set(path, made);
    forgetOldest();
  }
  return pictures.get(path);
}

function forgetOldest() {
  if (pictures.size <= KEPT) return;
  const [path, made] = pictures.entries().next().value;
  pictures.delete(path);
  made.then((address) => URL.revokeObjectURL(address), () => {});
}
