// One value that is too large for the browser's small storage, kept for this tab over a reload.

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

/** Keeps `value`, or forgets with null; a browser without room keeps nothing. */
export const put = (value) => ask("readwrite", (store) => (value === null ? store.delete(tab()) : store.put(value, tab()))).catch(() => {});

/** What was kept in this tab, or null. */
export const take = () => ask("readonly", (store) => store.get(tab())).then((value) => value ?? null, () => null);
