// Who corrects: asked once, kept in this browser.

import { byId } from "./dom.js";
import { keepPerson, personName } from "./drafts.js";
import { exported } from "./server.js";
import { state } from "./state.js";

let name = "";

export function start() {
  name = personName();
  byId("person").addEventListener("click", () => asked());
  byId("ask-cancel").addEventListener("click", () => byId("ask").close("cancel"));
  shown();
}

function shown() {
  const button = byId("person");
  button.hidden = Boolean(exported());
  button.textContent = name || "Your name";
}

/** Ask for the name; null if the person would rather not. */
export function asked() {
  const dialog = byId("ask");
  const field = byId("name");
  field.value = name || state.project?.person || "";
  dialog.returnValue = "cancel";
  dialog.showModal();
  field.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = field.value.trim();
      if (dialog.returnValue !== "ok" || !given) return resolve(null);
      name = given;
      keepPerson(name);
      shown();
      resolve(name);
    }, { once: true });
  });
}

/** Return the name, asking for it the first time. */
export async function person() {
  return name || asked();
}
