// The keyboard's place survives what is built anew.

/** Runs `build`, and gives the focus back to the node in `box` that stands for the one that had it. */
export function keepFocus(box, build) {
  const at = document.activeElement;
  const mark = box.contains(at) ? markOf(at) : null;
  build();
  if (!mark || box.contains(document.activeElement)) return;
  [...box.querySelectorAll("button, input, select, textarea")].find((node) => markOf(node) === mark)?.focus();
}

const markOf = (node) => node.id || node.getAttribute("aria-label") || `${node.name} ${node.value}`;
