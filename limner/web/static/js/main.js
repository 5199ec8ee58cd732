// Puts the page together.

import * as account from "./account/account.js";
import { Refused, Unreachable, on } from "./page/api.js";
import * as controls from "./desk/controls.js";
import * as cards from "./tray/cards.js";
import * as draw from "./tray/draw.js";
import * as queue from "./tray/queue.js";
import * as tray from "./tray/tray.js";
import * as twice from "./page/twice.js";
import * as errors from "./page/errors.js";
import * as fixed from "./page/fixed.js";
import * as extra from "./desk/extra.js";
import * as choosing from "./library/choosing.js";
import * as detail from "./library/detail.js";
import * as grid from "./library/grid.js";
import * as search from "./library/search.js";
import * as places from "./places.js";
import * as gallery from "./library/gallery.js";
import * as house from "./house/house.js";
import * as keys from "./keys.js";
import { key } from "./page/local.js";
import * as price from "./desk/price.js";
import * as prompt from "./desk/prompt/prompt.js";
import * as seed from "./desk/seed.js";
import * as sizes from "./desk/sizes.js";
import * as source from "./desk/source/source.js";
import * as styles from "./desk/styles.js";
import * as stylesheet from "./desk/stylesheet.js";
import * as under from "./stage/under.js";
import * as history from "./desk/history.js";
import * as names from "./desk/names.js";
import * as guides from "./desk/guides.js";
import * as boxes from "./desk/boxes.js";
import * as keeping from "./desk/keeping.js";
import * as xygrid from "./desk/xygrid.js";
import * as viewer from "./stage/viewer.js";
import * as welcome from "./account/welcome.js";
import { TEXTS } from "./texts.js";

for (const part of [fixed, twice, account, controls, sizes, seed, extra, styles, source, price, under, viewer, gallery, stylesheet, xygrid, history, names, boxes, guides, keeping, keys, draw, tray, cards, queue, choosing, detail, grid, search, house, places]) part.setUp();
prompt.setUp({ draw: draw.draw, cancel: tray.cancelLooked });

account.onEnter(async () => {
  prompt.refresh();
  price.refresh();
  await controls.refresh();
  await tray.resume();
  await gallery.refresh();
  welcome.show();
});

// With a key there may be pictures: what fits is known once it is let in.
if (!key.get()) welcome.show();

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
      errors.show(TEXTS.says.kept(error.message));
      setTimeout(enter, AGAIN_MS);
    } else if (!(error instanceof Refused)) throw error;
    else if (error.status === 401) welcome.showRefused(error.message);
    else errors.show(error.message);
  }
}

enter();
