// The papers of a picture: its receipt, and what became of the credits.

import { get } from "../page/api.js";
import { copyAndTell } from "../page/clipboard.js";
import { closing, dialog, foot, h } from "../page/dom.js";
import { stringify } from "../page/json.js";
import { finding } from "./finding.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.stage;
const C = TEXTS.common;

/** The receipt: the canonical record, to read, to copy, to keep. */
export async function showReceipt(picture) {
  const receipt = await get(`api/receipts/${picture.id}`);
  const text = stringify(receipt, 2);
  const rows = [
    [C.model, receipt.model?.name], [T.modelSha, receipt.model?.sha256],
    [T.pixelsSha, receipt.rgb_sha256], [T.rows, receipt.drawing && T.evaluations(receipt.drawing.evaluations, receipt.drawing.rows)],
    [T.licence, receipt.model?.licence],
  ].filter(([, value]) => value);
  const copied = h("span", { role: "status" });
  dialog(T.receipt,
    h("dl", { class: "receipt" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, value))])),
    h("pre", { class: "snippet", tabindex: "0" }, text),
    foot(copied,
      h("button", { onclick: () => copyAndTell(text, copied) }, C.copy),
      closing(C.close, { class: "primary" })));
}

/** Quote, hold, capture: one sentence each. */
export function showCost({ request }) {
  const quote = request.price;
  const back = Math.max(0, Number(quote) - Number(request.cost));
  const [price, paid] = [words.credits(quote), words.credits(request.cost)];
  finding(h("ul", { class: "sentence-list" },
    h("li", {}, T.quote(price)),
    h("li", {}, T.hold(price)),
    h("li", {}, T.capture(paid, request.pictures.length, back > 0 && words.credits(back)))));
}
