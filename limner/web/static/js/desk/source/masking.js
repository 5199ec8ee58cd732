// How a mask is used: on the desk `{feather, fill, only, padding}`, and as the API takes it.

import { h } from "../../page/dom.js";
import { TEXTS } from "../../texts.js";

const T = TEXTS.mask;

/** The desk's from the API's; what is not said is as usual on this page. */
export const fromWire = ({ mask_blur: feather = 4, mask_fill: fill = "original", only_masked: only = false, mask_padding: padding = 32 } = {}) => (
  { feather, fill, only, padding }
);

/** The API's from the desk's, only what it would not take to be so. */
export const onWire = ({ feather, fill, only, padding }) => ({
  mask_blur: feather, ...(fill !== "original" && { mask_fill: fill }), ...(only && { only_masked: true, mask_padding: padding }),
});

/** Controls that start as `image` says, and `read()`, which tells what they say. */
export function makeControls(image) {
  const feather = h("input", { type: "range", min: 0, max: 64, value: image.feather, "aria-label": T.featherOf });
  const fill = h("select", { id: "mask-fill" }, Object.entries(T.fills).map(([value, text]) => h("option", { value, selected: value === image.fill }, text)));
  const padding = h("input", { type: "range", id: "mask-padding", min: 0, max: 256, step: 8, value: image.padding, disabled: !image.only,
    "aria-label": T.aroundOf });
  const only = h("input", { type: "checkbox", id: "mask-only", checked: image.only, onchange: () => { padding.disabled = !only.checked; } });
  const nodes = [
    h("label", {}, T.feather, feather), h("label", {}, T.starts, fill),
    h("label", { title: T.onlySays }, only, T.only),
    h("label", {}, T.around, padding),
  ];
  return { nodes, read: () => ({ feather: Number(feather.value), fill: fill.value, only: only.checked, padding: Number(padding.value) }) };
}
