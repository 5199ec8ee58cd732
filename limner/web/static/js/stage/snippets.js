// The request as curl, Python or JavaScript.

import { url } from "../page/api.js";
import { copyAndTell } from "../page/clipboard.js";
import { $, closing, dialog, foot, h } from "../page/dom.js";
import { stringify } from "../page/json.js";
import { key, load, save } from "../page/local.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.stage;
const C = TEXTS.common;
const HIDDEN = "SG_…";

/** Opens the dialog for a request body; with `pictureId` a replay of that picture instead. */
export function showSnippets(body, pictureId = null) {
  const call = pictureId ? { path: "api/replay", body: { picture_id: pictureId }, file: null } : drawCall(body);
  const pre = h("pre", { class: "snippet", tabindex: "0", id: "snippet" });
  const told = h("span", { role: "status" });
  let chosen = LANGUAGES[0];
  const tabs = LANGUAGES.map((language) => h("button", { role: "tab", id: `tab-${language.id}`, onclick: () => choose(language) }, language.name));
  const choose = (language) => {
    chosen = language;
    save("language", language.id);
    tabs.forEach((tab, i) => tab.setAttribute("aria-selected", String(LANGUAGES[i] === language)));
    pre.textContent = shortened(language.write(call, HIDDEN));
    told.textContent = "";
  };
  const copy = () => copyAndTell(chosen.write(call, key.get()), told, T.copiedKey);
  const box = dialog(T.request, h("div", { class: "tabs", role: "tablist", "aria-label": T.language }, tabs), pre,
    foot(told, h("button", { class: "primary", id: "snippet-copy", onclick: copy }, C.copy),
      closing(C.close)));
  choose(LANGUAGES.find((language) => language.id === load("language")) ?? LANGUAGES[0]);
  $("#snippet-copy", box).focus();
}

// The server's own call: the vendor's ends at 100 steps.
function drawCall({ samples, ...rest }) {
  return { path: "api/draw", body: { ...rest, samples: 1, output_format: "png" }, file: "picture.png" };
}

/** Long base64 is shown by its beginning only. */
const shortened = (text) => text.replace(/(data:image\/\w+;base64,[\w+/]{24})[\w+/=]{80,}/g, "$1…");

const json = (call, indent = 2) => stringify(call.body, indent);

export const LANGUAGES = [
  { id: "curl", name: "curl", write: curl },
  { id: "python", name: "Python", write: python },
  { id: "javascript", name: "JavaScript", write: javascript },
];

function curl(call, apiKey) {
  // The body is a here-document, which takes any quote and any length. A refusal is shown, and
  // is no picture.
  const [into, then] = call.file
    ? [` -o ${call.file}.part`, ` && mv ${call.file}.part ${call.file} || { cat ${call.file}.part >&2; rm -f ${call.file}.part; false; }`] : ["", ""];
  return [
    `curl -sS --fail-with-body${into} ${url(call.path)} \\`,
    `  -H 'x-api-key: ${apiKey}' -H 'content-type: application/json' \\`,
    `  --data-binary @- <<'JSON'${then}`, json(call), "JSON", "",
  ].join("\n");
}

function python(call, apiKey) {
  const keep = call.file
    ? [`with open("${call.file}", "wb") as file:`, "    file.write(answer.read())",
      "print(answer.headers[\"x-seed-value\"], answer.headers[\"x-cost\"])"]
    : ["print(answer.read().decode())"];
  return [
    "import json", "import urllib.error", "import urllib.request", "",
    `body = json.loads(${JSON.stringify(stringify(call.body))})`,
    "request = urllib.request.Request(", `    "${url(call.path)}",`, "    data=json.dumps(body).encode(),",
    `    headers={"x-api-key": "${apiKey}", "content-type": "application/json"},`, ")",
    "try:", "    answer = urllib.request.urlopen(request)", "except urllib.error.HTTPError as refused:", "    raise SystemExit(refused.read().decode())",
    ...keep, "",
  ].join("\n");
}

function javascript(call, apiKey) {
  const keep = call.file
    ? ['  const { writeFile } = await import("node:fs/promises");', `  await writeFile("${call.file}", Buffer.from(await answer.arrayBuffer()));`]
    : ["  console.log(await answer.json());"];
  return [
    "(async () => {", `  const answer = await fetch("${url(call.path)}", {`, '    method: "POST",',
    `    headers: { "x-api-key": "${apiKey}", "content-type": "application/json" },`,
    // Seeds as text: numbers end at 2^53 there.
    `    body: JSON.stringify(${JSON.stringify(call.body, null, 2).replace(/\n/g, "\n    ")}),`, "  });",
    "  if (!answer.ok) throw new Error((await answer.json()).error);", ...keep, "})();", "",
  ].join("\n");
}
