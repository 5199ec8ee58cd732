// The second press of a double click is no second order: what was under the first may have gone, and
// what moved into its place is not meant.

const ONCE = "#draw, .job-cancel, .actions button, #chosen button, #notice button, dialog button.primary, #key-revoke";

export function setUp() {
  document.addEventListener("click", (event) => {
    if (event.detail < 2 || !event.target.closest?.(ONCE)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
}
