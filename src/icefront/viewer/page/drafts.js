// What was drawn and not saved yet stays in this browser, so that nothing is lost when the page is
// closed or the server is gone. A browser that keeps nothing (private windows) costs only that.

import { state } from "./state.js";

const PREFIX = "icefront:draft:";

function stored(act) {
  try {
    return act(globalThis.localStorage);
  } catch {
    return null;
  }
}

const key = (scene) => `${PREFIX}${state.project.name}:${state.glacier.name}:${scene.name}`;

export function keep(scene, draft) {
  stored((storage) => storage.setItem(key(scene), JSON.stringify(draft)));
}

export function forget(scene) {
  stored((storage) => storage.removeItem(key(scene)));
}

/** Return the draft of a scene, or null. */
export function find(scene) {
  const text = scene && stored((storage) => storage.getItem(key(scene)));
  try {
    const draft = text ? JSON.parse(text) : null;
    return Array.isArray(draft?.lines) ? draft : null;
  } catch {
    return null;
  }
}

/** Return the scenes of the glacier for which there is a draft. */
export function waiting() {
  return state.glacier.scenes.filter((scene) => find(scene));
}

export const personName = () => stored((storage) => storage.getItem("icefront:person")) ?? "";
export const keepPerson = (name) => stored((storage) => storage.setItem("icefront:person", name));
