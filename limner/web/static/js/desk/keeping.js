// The pixels on the desk (source, followed pictures, masks of regions) are there again after a reload.

import * as drawer from "../page/drawer.js";
import { order } from "./order.js";

const LARGE = ["image", "controls", "regions"];
const masked = (regions) => regions.some(({ mask }) => mask);

export async function setUp() {
  const kept = await drawer.take();
  const { image, controls } = order.get();
  // What has been put there meanwhile stays.
  order.set({
    ...(!image && kept?.image && { image: kept.image }), ...(!controls.length && kept?.controls?.length && { controls: kept.controls }),
    ...(kept?.regions && masked(kept.regions) && { regions: kept.regions }),
  });
  order.watch((o, changed) => {
    if (!changed.some((name) => LARGE.includes(name))) return;
    const any = o.image || o.controls.length || masked(o.regions);
    drawer.put(any ? Object.fromEntries(LARGE.map((name) => [name, o[name]])) : null);
  });
}
