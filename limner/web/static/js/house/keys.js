// The keys of the server: made, limited, given credits, revoked.

import { get, patch, post, remove } from "../page/api.js";
import { copyAndTell } from "../page/clipboard.js";
import { $, closing, dialog, foot, h } from "../page/dom.js";
import { notice } from "../page/notice.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.houseKeys;
const C = TEXTS.common;

// A limit as a field.
const LIMITS = [
  ["spend_cap", T.mayEverSpend, (one) => one.spend_cap],
  ["requests_per_minute", T.requestsAMinute, (one) => one.requests_per_minute],
  ["concurrency", T.requestsAtOnce, (one) => one.concurrency],
];
const COLUMNS = [T.name, T.begins, T.may, T.available, T.spent, T.cap, T.days(30), ""];

/** The table, with what makes another key; `again()` is called when something has changed. */
export async function keysTable(again) {
  const [{ keys }, { usage }] = await Promise.all([get("api/admin/keys"), get("api/admin/usage?days=30")]);
  const drawn = new Map(usage.map((row) => [row.key_id, row]));
  const rows = keys.map((one) => row(one, drawn.get(one.id), again));
  return [
    h("div", { class: "head-of-keys" }, h("h3", {}, T.keysOf(keys.filter((one) => !one.revoked_at).length)),
      h("button", { id: "key-new", onclick: () => create(again) }, T.newKeyMore)),
    h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": T.keys }, h("table", { class: "keys-table" },
      h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name || h("span", { class: "sr" }, T.change))))), h("tbody", {}, rows))),
  ];
}

function row(one, used, again) {
  const cells = [
    one.name, h("code", {}, `${one.begins}…`), one.revoked_at ? T.revokedKey : one.scopes.join(", "), words.credits(one.available),
    words.credits(one.spent), one.spend_cap === null ? T.none : words.credits(one.spend_cap),
    used ? C.cost(used.pictures, words.credits(used.cost)) : T.nothing,
  ];
  const change = one.revoked_at ? null : h("button", { "aria-label": T.changeKey(one.name), onclick: () => edit(one, again) }, T.changeMore);
  return h("tr", { class: one.revoked_at ? T.revokedKey : "", data: { key: one.id } }, cells.map((cell) => h("td", {}, cell)), h("td", {}, change));
}

/** A field of a form, labelled. */
const field = (name, label, value, more = {}) => h("label", {}, label, h("input", { type: "text", name, value: value ?? "", ...more }));

/** A dialog with a form; what the server refuses is told in it. */
function form(title, fields, word, act, ...more) {
  const error = h("p", { class: "error", role: "alert", hidden: true });
  let busy = false; // what is on its way is not sent again
  const body = h("form", { class: "house-form", onsubmit: async (event) => {
    event.preventDefault();
    await attempt(() => act(Object.fromEntries(new FormData(body))));
  } }, fields, error, foot(more, h("button", { type: "submit", class: "primary" }, word)));
  const box = dialog(title, body);
  const attempt = async (work) => {
    if (busy) return;
    busy = true;
    try {
      const then = await work();
      box.close();
      then?.();
    } catch (refused) {
      error.textContent = refused.message;
      error.hidden = false;
    } finally {
      busy = false;
    }
  };
  $("input", body).focus();
  return attempt;
}

function create(again) {
  form(T.newKeyTitle, [
    field("name", T.whoseItIs, "", { required: true }),
    field("credits", T.credits, "10", { inputmode: "decimal" }),
    h("label", {}, h("input", { type: "checkbox", name: "admin" }), T.admin),
  ], T.makeIt, async ({ name, credits, admin }) => {
    const made = await post("api/admin/keys", { name, credits, ...(admin ? { scopes: ["admin", "draw", "read"] } : {}) });
    return () => { showSecret(made); again(); };
  });
}

function showSecret({ key: secret, name }) {
  const told = h("p", { class: "note", role: "status" });
  dialog(T.keyOf(name), h("p", {}, T.shownOnce), h("p", {}, h("code", { id: "secret" }, secret)), told,
    foot(h("button", { onclick: () => copyAndTell(secret, told) }, C.copy), closing(C.close, { class: "primary" })));
}

function edit(one, again) {
  const limits = LIMITS.map(([name, label, now]) => field(name, T.orNoLimit(label), now(one), { inputmode: "decimal" }));
  const revoke = h("button", { id: "key-revoke", onclick: () => {
    if (revoke.dataset.sure) return attempt(async () => {
      await remove(`api/admin/keys/${one.id}`);
      notice(T.revoked(one.name));
      await again();
    });
    revoke.dataset.sure = "yes";
    revoke.textContent = T.revokeSure;
  } }, T.revoke);
  const attempt = form(one.name, [field("grant", T.grant, "", { inputmode: "decimal" }), ...limits], T.save, async ({ grant, ...said }) => {
    const changed = LIMITS.filter(([name, , now]) => said[name].trim() !== String(now(one) ?? ""));
    if (changed.length) await patch(`api/admin/keys/${one.id}`, Object.fromEntries(changed.map(([name]) => [name, said[name].trim() || null])));
    if (grant.trim()) await post("api/admin/credits", { key_id: one.id, credits: grant.trim() });
    await again();
  }, revoke);
}
