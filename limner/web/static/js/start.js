// Chooses the language that the browser asks for first, else English.
(() => {
  // A line for each language, as browsers name it: the words of "fr" stand in texts/fr.js.
  const LANGUAGES = [
    "en",
  ];
  const asked = navigator.languages.map((tag) => LANGUAGES.find((name) => [tag, tag.split("-")[0]].includes(name)));
  const name = asked.find(Boolean) ?? "en";
  const begin = () => document.body.append(Object.assign(document.createElement("script"), { type: "module", src: "static/js/main.js" }));
  if (name === "en") begin();
  else {
    // Modules read their words once, so these come first; without them it is English.
    Promise.all([import("./texts.js"), import(`./texts/${name}.js`)]).then(([page, words]) => {
      page.speak(words.TEXTS);
      document.documentElement.lang = name;
    }).catch(() => {}).then(begin);
  }
})();
