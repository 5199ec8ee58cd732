// The papers of a picture: its receipt, and what became of the credits, as sentences.

import { get } from "../page/api.js";
import { copyAndTell } from "../page/clipboard.js";
import { closing, dialog, h } from "../page/dom.js";
import { stringify } from "../page/json.js";
import { finding } from "./finding.js";
import * as words from "../page/words.js";

/** The receipt: the canonical record, to read, to copy, to keep. */
export async function showReceipt(picture) {
  const receipt = await get(`api/receipts/${picture.id}`);
  const text = stringify(receipt, 2);
  const rows = [
    ["Model", receipt.model?.name], ["Model’s SHA-256", receipt.model?.sha256],
    ["Pixels’ SHA-256", receipt.rgb_sha256], ["UNet rows", receipt.drawing && `${receipt.drawing.evaluations} evaluations × ${receipt.drawing.rows}`],
    ["Licence", receipt.model?.licence],
  ].filter(([, value]) => value);
  const copied = h("span", { role: "status" });
  dialog("Receipt",
    h("dl", { class: "receipt" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, String(value)))])),
    h("pre", { class: "snippet", tabindex: "0" }, text),
    h("div", { class: "dialog-foot" }, copied,
      h("button", { onclick: () => copyAndTell(text, copied) }, "Copy"),
      closing("Close", { class: "primary" })));
}

/** Quote, hold, capture: one sentence each. */
export function showCost({ request }) {
  const quote = request.price;
  const count = request.pictures.length;
  const back = Math.max(0, Number(quote) - Number(request.cost));
  const [price, paid] = [words.credits(quote), words.credits(request.cost)];
  finding(h("ul", { class: "sentence-list" },
    h("li", {}, `Quote: ${price} credits, told before anything was drawn.`),
    h("li", {}, `Hold: ${price} credits were set aside when the request was accepted.`),
    h("li", {}, `Capture: ${paid} credits were taken for ${words.count(count, "picture")} that ${count === 1 ? "was" : "were"} delivered and stored${back > 0 ? `, and ${words.credits(back)} went back in the same moment` : ""}.`)));
}
