// The request as curl, Python or JavaScript; what is copied works when pasted.

import { slug, url } from "./api.js";
import { $$, dialog, h } from "./dom.js";
import { key, load, save } from "./local.js";

const HIDDEN = "SG_…";

/** Opens the dialog for a request body; with `pictureId` a replay of that picture instead. */
export function showSnippets(body, pictureId = null) {
  const call = pictureId ? { path: "api/replay", body: { picture_id: pictureId }, file: null } : drawCall(body);
  const pre = h("pre", { class: "snippet", tabindex: "0", id: "snippet" });
  const told = h("span", { role: "status" });
  let chosen = LANGUAGES[0];
  const tabs = LANGUAGES.map((language) => h("button", { type: "button", role: "tab", id: `tab-${language.id}`, onclick: () => choose(language) }, language.name));
  const choose = (language) => {
    chosen = language;
    save("language", language.id);
    tabs.forEach((tab, i) => tab.setAttribute("aria-selected", String(LANGUAGES[i] === language)));
    pre.textContent = shortened(language.write(call, HIDDEN));
    told.textContent = "";
  };
  const copy = async () => {
    await navigator.clipboard.writeText(chosen.write(call, key.get()));
    told.textContent = "Copied, with your key in it.";
  };
  const box = dialog("The request", h("div", { class: "tabs", role: "tablist", "aria-label": "Language" }, tabs), pre,
    h("div", { class: "dialog-foot" }, told, h("button", { type: "button", class: "primary", id: "snippet-copy", onclick: copy }, "Copy"),
      h("button", { type: "button", onclick: () => box.close() }, "Close")));
  choose(LANGUAGES.find((language) => language.id === load("language")) ?? LANGUAGES[0]);
  $$("#snippet-copy")[0].focus();
}

function drawCall({ samples, ...rest }) {
  return { path: `v1/${slug}`, body: { ...rest, samples: 1, output_format: "png" }, file: "picture.png" };
}

/** Long base64 is shown by its beginning only. */
const shortened = (text) => text.replace(/(data:image\/\w+;base64,[\w+/]{24})[\w+/=]{80,}/g, "$1…");

const json = (call, indent = 2) => JSON.stringify(call.body, null, indent);

export const LANGUAGES = [
  { id: "curl", name: "curl", write: curl },
  { id: "python", name: "Python", write: python },
  { id: "javascript", name: "JavaScript", write: javascript },
];

function curl(call, apiKey) {
  // The body is a here-document, which takes any quote and any length.
  return [
    `curl --fail-with-body ${call.file ? `-o ${call.file} ` : ""}${url(call.path)} \\`,
    `  -H 'x-api-key: ${apiKey}' -H 'content-type: application/json' \\`,
    "  --data-binary @- <<'JSON'", json(call), "JSON", "",
  ].join("\n");
}

function python(call, apiKey) {
  const keep = call.file
    ? [`with urllib.request.urlopen(request) as answer, open("${call.file}", "wb") as file:`, "    file.write(answer.read())",
      "    print(answer.headers[\"x-seed-value\"], answer.headers[\"x-cost\"])"]
    : ["with urllib.request.urlopen(request) as answer:", "    print(answer.read().decode())"];
  return [
    "import json", "import urllib.request", "",
    `body = json.loads(${JSON.stringify(JSON.stringify(call.body))})`,
    "request = urllib.request.Request(", `    "${url(call.path)}",`, "    data=json.dumps(body).encode(),",
    `    headers={"x-api-key": "${apiKey}", "content-type": "application/json"},`, ")",
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
    `    body: JSON.stringify(${json(call).replace(/\n/g, "\n    ")}),`, "  });",
    "  if (!answer.ok) throw new Error((await answer.json()).error);", ...keep, "})();", "",
  ].join("\n");
}
