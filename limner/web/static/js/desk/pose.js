// The dialog for a pose: keypoints as JSON, and the skeleton that they are.

import { expected, post } from "../page/api.js";
import { closing, debounce, dialog, foot, h } from "../page/dom.js";
import { TEXTS } from "../texts.js";
import { order } from "./order.js";

const T = TEXTS.pose;

/** Opens it; resolves to `{pose, image}`, the points and the skeleton as a `data:` address, or to null. */
export function askForPose(before = null) {
  return new Promise((resolve) => {
    let [made, result] = [null, null];
    const told = h("p", { class: "error", role: "alert", id: "pose-error", hidden: true });
    const shown = h("img", { alt: T.shown, id: "pose-shown", hidden: true });
    const use = h("button", { type: "submit", class: "primary", id: "pose-done", disabled: true }, T.done);
    const show = (image, text = "") => {
      told.textContent = text;
      told.hidden = !text;
      shown.hidden = use.disabled = !image;
      if (image) shown.src = image;
    };
    const look = debounce(async () => {
      const asked = area.value;
      made = null;
      if (!asked.trim()) return show(null);
      try {
        const read = await preview(asked);
        if (asked !== area.value) return; // typed on in the meantime
        made = read;
        return show(made.image);
      } catch (error) {
        if (!(error instanceof SyntaxError)) expected(error);
        return show(null, error instanceof SyntaxError ? T.notJson(error.message) : error.message);
      }
    }, 250);
    const area = h("textarea", { id: "pose", rows: 6, spellcheck: "false", "aria-describedby": "pose-note pose-error", oninput: look });
    area.value = before ? JSON.stringify(before) : "";
    const file = h("input", { class: "sr", type: "file", id: "pose-file", accept: ".json,application/json", "aria-label": T.open, onchange: async () => {
      area.value = await file.files[0].text();
      look();
    } });
    const form = h("form", { class: "pose", onsubmit: (event) => {
      event.preventDefault();
      result = made;
      box.close();
    } }, h("p", { class: "note", id: "pose-note" }, T.note),
    h("div", { class: "field-head" }, h("label", { for: "pose" }, T.label), h("label", { class: "quiet button", for: "pose-file" }, T.open), file), area, told, shown,
    foot(closing(T.leave), use));
    const box = dialog(T.title, form);
    box.addEventListener("close", () => resolve(result));
    area.focus();
    look();
  });
}

/** The points, and how the server draws them at the size of the desk. */
async function preview(text) {
  const pose = JSON.parse(text);
  const { img_width: width, img_height: height } = order.get();
  const { image } = await post("api/preprocess", { pose, width, height, base64: true });
  return { pose, image: `data:image/png;base64,${image}` };
}
