// What the browser keeps: the key, the draft, unfinished requests, the theme. Never in a URL.

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
export function loadDraft() {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + "draft")) ?? load("draft");
  } catch {
    return load("draft");
  }
}

export function saveDraft(draft) {
  save("draft", draft);
  try {
    sessionStorage.setItem(PREFIX + "draft", JSON.stringify(draft));
  } catch {
    // no room: a reload takes the last draft of any tab
  }
}

export const key = {
  get: () => load("key", ""),
  set: (plain) => save("key", plain || null),
};

/** The theme is plain text: `theme.js` reads it before anything else runs. */
export const theme = {
  get: () => localStorage.getItem(PREFIX + "theme"),
  set: (name) => localStorage.setItem(PREFIX + "theme", name),
};
