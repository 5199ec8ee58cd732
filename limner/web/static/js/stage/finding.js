// What an action says under the picture.

import { $ } from "../page/dom.js";

/** A sentence or more under the picture, as the result of an action. */
export function finding(...content) {
  const place = $("#finding");
  place?.replaceChildren(...content);
  place?.scrollIntoView({ block: "nearest" });
}
