// The price, before anything is drawn.

import { Refused, expected, post } from "../page/api.js";
import { $, debounce, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { key } from "../page/local.js";
import { order, toBody } from "./order.js";
import * as account from "../account/account.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;

export function setUp() {
  order.watch(() => refresh());
}

let asked = 0;
export const refresh = debounce(async () => {
  const o = order.get();
  if (!key.get() || !o.prompt.trim()) return show(null);
  const mine = ++asked;
  try {
    // base64: so that every sample counts.
    const quote = await post("api/quote", { ...toBody(o, { light: true }), base64: true });
    if (mine === asked) show(quote);
  } catch (error) {
    if (mine !== asked) return;
    show(null);
    if (error instanceof Refused && error.status === 400) errors.show(error.message, null, { focus: false });
    else expected(error);
  }
}, 250);

function show(quote) {
  const line = $("#price");
  if (!quote) return line.replaceChildren();
  const short = account.credits() !== null && account.credits() < quote.credits;
  line.title = T.priceOf(quote.rows, quote.tiles, quote.samples);
  return line.replaceChildren(h("strong", {}, words.credits(quote.credits)), T.price(quote.samples, short));
}
