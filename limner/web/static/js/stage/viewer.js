// Full size; arrows step through everything drawn.

import { picture as fetchPicture } from "../page/api.js";
import { $, closing, h } from "../page/dom.js";
import * as gallery from "../library/gallery.js";
import { look, spritePixels } from "../page/sprites.js";
import * as words from "../page/words.js";
import { TEXTS } from "../texts.js";

const T = TEXTS.stage;
const C = TEXTS.common;

export function setUp() {
  document.addEventListener("limner:open", ({ detail }) => open(detail.picture));
}

/** Back closes the picture, not the page. */
function closeOnBack(box) {
  history.pushState({ viewer: true }, "");
  const back = () => box.close();
  addEventListener("popstate", back);
  box.addEventListener("close", () => {
    removeEventListener("popstate", back);
    if (history.state?.viewer) history.back();
  });
}

function open(first) {
  let picture = first;
  const image = h("img", { alt: "" });
  const repeated = h("div", { class: "repeated", role: "img", "aria-label": T.twoByTwo, hidden: true });
  const line = h("span", {});
  const show = async (next) => {
    if (!next) return;
    picture = next;
    [image, repeated].forEach((node) => look(node, picture.request));
    image.src = await fetchPicture(picture.id, "png");
    repeated.style.setProperty("--picture", `url("${image.src}")`);
    repeated.style.setProperty("--ratio", `${picture.width / picture.height}`);
    const prompt = picture.request?.generation.prompt ?? "";
    image.alt = prompt;
    line.textContent = `${C.seedOf(picture.seed)} · ${words.size(picture, spritePixels(picture.request))}${picture.request ? ` · ${words.when(picture.request.created_at)}` : ""}`;
  };
  const repeat = ({ currentTarget: button }) => {
    image.hidden = repeated.hidden;
    repeated.hidden = !repeated.hidden;
    button.setAttribute("aria-pressed", image.hidden);
  };
  const step = (by) => {
    gallery.open(picture.id);
    show(gallery.neighbour(by));
  };
  const box = h("dialog", { class: "viewer", "aria-label": T.full },
    h("figure", { onclick: () => box.close() }, image, repeated),
    h("div", { class: "bar" }, line, h("button", { "aria-label": T.newer, onclick: () => step(-1) }, "←"),
      h("button", { "aria-label": C.older, onclick: () => step(1) }, "→"),
      h("button", { id: "repeat", "aria-pressed": "false", title: T.repeatSays, onclick: repeat }, T.repeat),
      closing(C.close)));
  box.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) step(by);
  });
  box.addEventListener("close", () => {
    gallery.open(picture.id);
    box.remove();
    $(".tile[aria-current=true]")?.focus();
  });
  document.body.append(box);
  box.showModal();
  closeOnBack(box);
  show(gallery.all().find((p) => p.id === first.id) ?? first);
}
