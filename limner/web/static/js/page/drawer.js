// What is too large for localStorage: one value of this tab, and values by name for all.

const NAME = "limner";
const STORE = "tabs";

const database = () => new Promise((resolve, reject) => {
  const asked = indexedDB.open(NAME, 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore(STORE);
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});

function tab() {
  const id = sessionStorage.getItem("limner.tab") ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
  sessionStorage.setItem("limner.tab", id);
  return id;
}

async function ask(mode, act) {
  const store = (await database()).transaction(STORE, mode).objectStore(STORE);
  const asked = act(store);
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/** Keeps `value`, of this tab without a `name`, or forgets with null; a browser without room keeps nothing. */
export const put = (value, name = tab()) => ask("readwrite", (store) => (value === null ? store.delete(name) : store.put(value, name))).catch(() => {});

/** What was kept, of this tab without a `name`, or null. */
export const take = (name = tab()) => ask("readonly", (store) => store.get(name)).then((value) => value ?? null, () => null);

/** Names that begin with `start`. */
export const names = (start) => ask("readonly", (store) => store.getAllKeys()).then((all) => all.filter((name) => name.startsWith(start)), () => []);
