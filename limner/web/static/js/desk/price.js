// The price, before anything is drawn.

import { Refused, expected, post } from "../page/api.js";
import { $, debounce, h } from "../page/dom.js";
import * as errors from "../page/errors.js";
import { key } from "../page/local.js";
import { eachOf, order, toBody } from "./order.js";
import * as account from "../account/account.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.desk;

export function setUp() {
  order.watch(() => refresh());
}

let asked = 0;
let known = new Map(); // of a list's lines only the one that is typed is asked for again
export const refresh = debounce(async () => {
  const o = order.get();
  if (!key.get() || !o.prompt.trim()) return show(null);
  const mine = ++asked;
  try {
    // base64: so that every sample counts.
    const bodies = eachOf(o).map((one) => JSON.stringify({ ...toBody(one, { light: true }), base64: true }));
    const quotes = await Promise.all(bodies.map((body) => (bodies[1] && known.get(body)) ?? post("api/quote", JSON.parse(body))));
    known = new Map(bodies.map((body, i) => [body, quotes[i]]));
    if (mine === asked) show(quotes);
  } catch (error) {
    if (mine !== asked) return;
    show(null);
    if (error instanceof Refused && error.status === 400) errors.show(error.message, null, { focus: false });
    else expected(error);
  }
}, 250);

function show(quotes) {
  const line = $("#price");
  if (!quotes) return line.replaceChildren();
  const sum = (name) => quotes.reduce((all, quote) => all + quote[name], 0);
  const [credits, pictures] = [sum("micro_credits") / 1e6, sum("samples")];
  const short = account.credits() !== null && account.credits() < credits;
  line.title = T.priceOf(quotes[0].rows, quotes[0].tiles, pictures);
  return line.replaceChildren(h("strong", {}, words.credits(credits)), T.price(pictures, short));
}
