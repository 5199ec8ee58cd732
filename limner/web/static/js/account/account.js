// The key, the balance, the model: the status line, and the first visit's question.

import { Refused, Unreachable, get, on, post, url } from "../page/api.js";
import { $, dialog, h } from "../page/dom.js";
import { key, theme } from "../page/local.js";
import * as words from "../page/words.js";
import { order } from "../desk/order.js";

let about = null;
let balance = null;
let entering = false;
let asked = 0;
const entered = [];

/** The loaded model's facts, once known. */
export const model = () => about;
export const credits = () => balance;
/** `fn()` whenever a key has been accepted, now or at the start. */
export const onEnter = (fn) => entered.push(fn);

export function setUp() {
  on("credits", showCredits);
  on("refused", (error) => key.get() && !entering && askForKey(error.message));
  $("#key-open").addEventListener("click", () => askForKey());
  setUpTheme();
}

/** Tries the stored key; true when the server lets it in. */
export async function enter() {
  if (!key.get()) return false;
  entering = true; // who comes in with a key says himself that it is refused
  try {
    showCredits((await get("v1/get-user-credits")).credits);
  } finally {
    entering = false;
  }
  about = await modelWhenReady();
  $("#model").replaceChildren(h("a", { href: url("license"), title: `${about.licence}. ${about.attribution.join(" ")}` }, about.name));
  for (const fn of entered) await fn();
  return true;
}

async function modelWhenReady() {
  for (;;) {
    try {
      return await get("api/model");
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 503) throw error;
      $("#queue").textContent = error.message;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

/** Asks for the balance anew, as after something was held or given back. */
export async function refreshCredits() {
  const mine = ++asked;
  const told = await get("v1/get-user-credits").catch(() => null);
  if (told && mine === asked) showCredits(told.credits);
}

function showCredits(value) {
  balance = Number(value);
  $("#credits").replaceChildren(h("strong", {}, words.credits(value)), " credits left");
}

/** The form where a key goes in; used by the first visit and by the dialog. */
export function keyForm(done) {
  const error = h("p", { class: "error", role: "alert", id: "key-error", hidden: true });
  const input = h("input", { type: "password", id: "key", name: "key", required: true, autocomplete: "off", spellcheck: "false",
    placeholder: "SG_…", "aria-describedby": "key-error", value: key.get() });
  const form = h("form", { class: "key-form" }, h("label", { for: "key" }, "Your key"),
    h("div", { class: "key-row" }, input, h("button", { class: "primary" }, "Use it")), error,
    h("p", { class: "note" }, "It stays in this browser and is sent only to this server."));
  const tell = (text) => {
    error.textContent = text;
    error.hidden = false;
    input.focus();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const before = key.get();
    if (!/^[\x21-\x7e]+$/.test(input.value.trim())) return tell("A key is made of plain letters, digits and _ alone; this one holds something else.");
    key.set(input.value.trim());
    try {
      if (await enter()) return done();
    } catch (refused) {
      if (!(refused instanceof Refused || refused instanceof Unreachable)) throw refused;
      key.set(before);
      return tell(refused.message);
    }
    return undefined;
  });
  return form;
}

/** Opens the key's dialog, or points at the first visit's form. */
export function askForKey(why = "") {
  if ($("#key")) return $("#key").focus();
  const box = dialog("Key", why && h("p", { class: "error" }, why), keyForm(() => box.close()),
    h("p", { class: "note" }, "The server prints a first key when it is started for the first time; its operator makes others with ",
      h("code", {}, "limner keys create --name NAME --credits 10"), "."));
  if (key.get()) box.append(h("div", { class: "dialog-foot" }, h("button", { type: "button", id: "key-forget", onclick: forgetKey }, "Forget this key")));
  return $("#key").focus();
}

/** The key leaves this browser; the page begins anew. */
function forgetKey() {
  key.set("");
  location.reload();
}

/** Accepting the model's licence, where a key must before it draws. */
export function licenceButton(done) {
  const { model } = order.get();
  const query = model ? `?model=${encodeURIComponent(model)}` : "";
  return h("span", {}, h("a", { href: url(`license${query}`), target: "_blank", rel: "noopener" }, "Read it"), " ",
    h("button", { type: "button", onclick: async () => {
      await post(`api/license/accept${query}`, {});
      done();
    } }, "Accept and draw"));
}

function setUpTheme() {
  const button = $("#theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (theme.get() ? theme.get() === "dark" : dark.matches);
  const say = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  };
  button.addEventListener("click", () => {
    theme.set(isDark() ? "light" : "dark");
    document.documentElement.dataset.theme = theme.get();
    say();
  });
  dark.addEventListener("change", say);
  say();
}
