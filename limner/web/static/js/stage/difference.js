// The difference of two pictures: grey where equal, brighter where not.

import { picture } from "../page/api.js";
import { h } from "../page/dom.js";
import { TEXTS } from "../texts.js";

async function pixels(id) {
  const image = new Image();
  image.src = await picture(id, "png");
  await image.decode();
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** A canvas of |a - b|, scaled so that the largest difference is white. */
export async function difference(a, b) {
  const [one, other] = [await pixels(a), await pixels(b)];
  let most = 1;
  for (let i = 0; i < one.data.length; i++) most = Math.max(most, Math.abs(one.data[i] - other.data[i]));
  for (let i = 0; i < one.data.length; i += 4) {
    for (let c = i; c < i + 3; c++) one.data[c] = Math.abs(one.data[c] - other.data[c]) / most * 255;
  }
  const canvas = h("canvas", { width: one.width, height: one.height, class: "difference", role: "img", "aria-label": TEXTS.stage.differ });
  canvas.getContext("2d").putImageData(one, 0, 0);
  return canvas;
}
