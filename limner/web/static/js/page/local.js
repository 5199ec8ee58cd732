// What the browser keeps. Never in a URL.

const PREFIX = "limner.";

export function load(name, fallback = null) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Keeps `value`; false where the browser has no room for it. */
export function save(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Names of all that is kept whose name begins with `start`. */
export const names = (start) => Object.keys(localStorage)
  .filter((name) => name.startsWith(PREFIX + start)).map((name) => name.slice(PREFIX.length));

/** What is on the desk: this tab's own after a reload, the last one of any tab in a new one. */
export const loadDraft = () => ofTab("draft") ?? load("draft");

export function saveDraft(draft) {
  save("draft", draft);
  keepInTab("draft", draft);
}

function ofTab(name) {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

function keepInTab(name, value) {
  try {
    sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // no room: a reload takes the last one of any tab
  }
}

const OWNER_LETTERS = 11; // enough to know a key by, too few to use

/**
 * The key of this tab, so that two tabs may be of two accounts; a new tab begins with the one that
 * was used last. One that was forgotten in another tab is none here either.
 */
export const key = {
  get() {
    const own = ofTab("key");
    const last = load("key", "");
    if (own === null) return last;
    return own === last || (load("keys") ?? []).some(({ secret }) => secret === own) ? own : "";
  },
  set(plain) {
    save("key", plain || null);
    keepInTab("key", plain);
  },
  /** From now on this tab's, whatever others use; returns it. */
  pin() {
    keepInTab("key", key.get());
    return key.get();
  },
  /** What of it says whose something is. */
  begins: () => key.get().slice(0, OWNER_LETTERS),
};

/** The theme is plain text: `theme.js` reads it before anything else runs. */
export const theme = {
  get: () => localStorage.getItem(PREFIX + "theme"),
  set: (name) => localStorage.setItem(PREFIX + "theme", name),
};
