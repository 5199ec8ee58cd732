// Puts the page together.

import * as account from "./account/account.js";
import { Refused, Unreachable, on } from "./page/api.js";
import * as controls from "./desk/controls.js";
import * as cards from "./tray/cards.js";
import * as draw from "./tray/draw.js";
import * as queue from "./tray/queue.js";
import * as tray from "./tray/tray.js";
import * as errors from "./page/errors.js";
import * as extra from "./desk/extra.js";
import * as grid from "./library/grid.js";
import * as places from "./places.js";
import * as gallery from "./library/gallery.js";
import * as keys from "./keys.js";
import { key } from "./page/local.js";
import * as price from "./desk/price.js";
import * as prompt from "./desk/prompt/prompt.js";
import * as seed from "./desk/seed.js";
import * as sizes from "./desk/sizes.js";
import * as source from "./desk/source/source.js";
import * as stage from "./stage/stage.js";
import * as styles from "./desk/styles.js";
import * as stylesheet from "./desk/stylesheet.js";
import * as under from "./stage/under.js";
import * as viewer from "./stage/viewer.js";
import * as welcome from "./account/welcome.js";

for (const part of [account, controls, sizes, seed, extra, styles, source, price, under, viewer, gallery, stylesheet, keys, draw, tray, cards, queue, grid, places]) part.setUp();
prompt.setUp({ draw: draw.draw, cancel: tray.cancelLooked });

let present = key.get();

account.onEnter(async () => {
  if (present && present !== key.get()) {
    tray.leave(); // what another key draws or drew is not this one's
    stage.show([]);
  }
  present = key.get();
  prompt.refresh();
  price.refresh();
  await controls.refresh();
  await tray.resume();
  await gallery.refresh();
  welcome.show();
});

// With a key there may be pictures: what fits is known once it is let in.
if (!present) welcome.show();

// What failed while the server was away is asked again.
on("back", () => {
  prompt.refresh();
  price.refresh();
  controls.refresh();
  gallery.refill();
});

const AGAIN_MS = 3000;

/** Comes in with the stored key; waits for a server that is not there. */
async function enter() {
  try {
    await account.enter();
    errors.clear("draw");
  } catch (error) {
    if (error instanceof Unreachable) {
      errors.show(`${error.message} What is on the desk is kept; trying again.`);
      setTimeout(enter, AGAIN_MS);
    } else if (!(error instanceof Refused)) throw error;
    else if (error.status === 401) welcome.showRefused(error.message);
    else errors.show(error.message);
  }
}

enter();
