// A refusal stands beside the field it means.

import { $, $$, announce } from "./dom.js";

const SAME = {
  img_height: "img_width", mask: "image", strength: "image", resize_mode: "image", mask_blur: "image", mask_fill: "image",
  only_masked: "image", mask_padding: "image", subseed: "seed",
};

/** Shows `text` beside the field that it begins with, else beside Draw, and goes there; returns what takes it away, unless another has come. */
export function show(text, extra = null, { focus = true } = {}) {
  const word = /^[a-z_0-9]+/.exec(text)?.[0] ?? "";
  const name = SAME[word] ?? word;
  const field = (word && $(`[data-field="${name}"]`)) || $('[data-field="draw"]');
  const line = $(".error", field);
  line.replaceChildren(text, ...(extra ? [" ", extra] : []));
  line.hidden = false;
  field.classList.add("invalid");
  field.closest("details")?.setAttribute("open", "");
  line.id ||= `${field.dataset.field}-error`;
  const told = control(field);
  told?.setAttribute("aria-invalid", "true");
  told?.setAttribute("aria-errormessage", line.id);
  announce(text);
  // The bar of Draw is always in sight.
  if (focus && !field.matches(".draw-bar")) {
    control(field)?.focus();
    line.scrollIntoView({ block: "nearest" });
  }
  const said = line.firstChild;
  return () => said === line.firstChild && clear(field.dataset.field);
}

/** Takes the sentences away: all, or those of one field. */
export function clear(name = null) {
  for (const field of $$(name ? `[data-field="${name}"]` : "[data-field]")) {
    const line = $(".error", field);
    if (line) line.hidden = true;
    field.classList.remove("invalid");
    control(field)?.removeAttribute("aria-invalid");
    control(field)?.removeAttribute("aria-errormessage");
  }
}

const control = (field) => $("textarea, input:not([type=file]), select", field);

document.addEventListener("input", (event) => {
  const field = event.target.closest?.("[data-field]");
  if (field) clear(field.dataset.field);
});
