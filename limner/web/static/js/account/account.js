// The key, the balance, the model.

import { Refused, expected, get, on, post, url } from "../page/api.js";
import { $, dialog, foot, h } from "../page/dom.js";
import { key, theme } from "../page/local.js";
import { setOwn } from "../page/sprites.js";
import * as words from "../page/words.js";
import * as kept from "./kept.js";
import { order } from "../desk/order.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.account;

let about = null;
let balance = null;
let entering = false;
let mine = ""; // the key that this page has come in with
let asked = 0;
const entered = [];

/** The loaded model's facts, once known. */
export const model = () => about;
export const credits = () => balance;
/** `fn()` whenever a key has been accepted, now or at the start. */
export const onEnter = (fn) => entered.push(fn);

export function setUp() {
  on("credits", showCredits);
  // A key that another tab forgot: no page goes on with half of it.
  addEventListener("storage", () => mine && key.get() !== mine && location.reload());
  on("refused", (error) => key.get() && !entering && askForKey(error.message));
  $("#key-open").addEventListener("click", () => askForKey());
  setUpTheme();
}

/** Tries the stored key; true when the server lets it in. */
export async function enter() {
  if (!key.get()) return false;
  await letIn(key.get());
  mine = key.pin();
  about = await modelWhenReady();
  setOwn(about);
  $("#model").replaceChildren(h("a", { href: url("license"), title: `${about.licence}. ${about.attribution.join(" ")}` }, about.name));
  const { name, begins } = await get("api/key");
  kept.remember(key.get(), `${name} (${begins}…)`);
  showName(name);
  for (const fn of entered) await fn();
  return true;
}

/** Asks for the balance with a key; raises `Refused` where the server lets it in no more. */
async function letIn(secret) {
  entering = true; // who comes in with a key says himself that it is refused
  try {
    showCredits((await get("v1/get-user-credits", { headers: { "x-api-key": secret } })).credits);
  } finally {
    entering = false;
  }
}

/** In whose account this tab is. */
function showName(name) {
  const button = $("#key-open");
  button.textContent = T.named(name.length > 24 ? `${name.slice(0, 23)}…` : name);
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
  $("#credits").replaceChildren(h("strong", {}, words.credits(value)), T.creditsLeft);
}

/** The form where a key goes in; used by the first visit and by the dialog. */
export function keyForm(done) {
  const error = h("p", { class: "error", role: "alert", id: "key-error", hidden: true });
  const input = h("input", { type: "password", id: "key", name: "key", required: true, autocomplete: "off", spellcheck: "false",
    placeholder: "SG_…", "aria-describedby": "key-error", value: key.get() });
  const form = h("form", { class: "key-form" }, h("label", { for: "key" }, T.yourKey),
    h("div", { class: "key-row" }, input, h("button", { type: "submit", class: "primary" }, T.useIt)), error,
    h("p", { class: "note" }, T.stays));
  const tell = (text) => {
    error.textContent = text;
    error.hidden = false;
    input.focus();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const secret = input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(secret)) return tell(T.oddLetters);
    try {
      await letIn(secret);
      if (key.get() && key.get() !== secret) return use(secret);
      key.set(secret);
      await enter();
      return done();
    } catch (refused) {
      expected(refused);
      return tell(refused.message);
    }
  });
  return form;
}

/** Opens the key's dialog, or points at the first visit's form. */
export function askForKey(why = "") {
  if ($("#key")) return $("#key").focus();
  const box = dialog(T.key, why && h("p", { class: "error" }, why), keyForm(() => box.close()),
    h("p", { class: "note" }, T.firstKey,
      h("code", {}, "limner keys create --name NAME --credits 10"), "."));
  box.append(otherKeys());
  if (key.get()) box.append(foot(h("button", { id: "key-forget", onclick: forgetKey }, T.forgetThisKey)));
  return $("#key").focus();
}

/** The other keys that were used in this browser, each to be used again or forgotten. */
export function otherKeys() {
  const others = kept.others();
  if (!others.length) return "";
  return h("ul", { class: "other-keys", "aria-label": T.others }, others.map(({ secret, name }) => {
    const item = h("li", {}, h("button", { onclick: () => use(secret) }, T.use(name)),
      h("button", { class: "quiet", "aria-label": T.forget(name), onclick: () => {
        kept.forget(secret);
        item.remove();
      } }, T.forgetIt));
    return item;
  }));
}

/** The page begins anew with another key, so that nothing of one account stays in another's. */
function use(secret) {
  key.set(secret);
  location.reload();
}

/** The key leaves this browser; the page begins anew. */
function forgetKey() {
  kept.forget(key.get());
  use("");
}

/** Accepting the model's licence, where a key must before it draws. */
export function licenceButton(done) {
  const { model, vae } = order.get();
  const query = model || vae ? `?${new URLSearchParams({ model: model ?? "", vae: vae ?? "" })}` : "";
  return h("span", {}, h("a", { href: url(`license${query}`), target: "_blank", rel: "noopener" }, T.readIt), " ",
    h("button", { onclick: async () => {
      await post(`api/license/accept${query}`, {});
      done();
    } }, T.acceptAndDraw));
}

function setUpTheme() {
  const button = $("#theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (theme.get() ? theme.get() === "dark" : dark.matches);
  const say = () => {
    button.textContent = isDark() ? T.light : T.dark;
    button.setAttribute("aria-label", isDark() ? T.toLight : T.toDark);
  };
  button.addEventListener("click", () => {
    theme.set(isDark() ? "light" : "dark");
    document.documentElement.dataset.theme = theme.get();
    say();
  });
  dark.addEventListener("change", say);
  say();
}
