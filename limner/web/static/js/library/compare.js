// Two pictures in one place, with a line between them that is moved.

import { picture as fetchPicture } from "../page/api.js";
import { closing, dialog, foot, h } from "../page/dom.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.gallery;
const C = TEXTS.common;

/** Opens a dialog; `one` is seen left of the line, `other` right of it. */
export async function compare(one, other) {
  const [left, right] = await Promise.all([one, other].map(({ id }) => fetchPicture(id, "png")));
  const line = h("input", { type: "range", min: "0", max: "100", value: "50", step: "0.5", "aria-label": T.share,
    oninput: (event) => frame.style.setProperty("--at", `${event.target.value}%`) });
  const frame = h("div", { class: "compared", style: { "--at": "50%", "--ratio": one.width / one.height } },
    h("img", { src: right, alt: other.prompt }), h("img", { src: left, alt: one.prompt, class: "over" }), line);
  const name = ({ seed, prompt }) => h("span", {}, C.seedOf(seed), h("br"), prompt.slice(0, 80));
  dialog(T.compared, frame, foot(name(one), closing(C.close), name(other)));
  line.focus();
}
