// What the page shows, and who is told when it changes.

import { dayOf } from "./dates.js";

export const state = {
  project: null, // as the server says
  glacier: null,
  curve: null,
  walls: [], // lines, in the CRS of the glacier
  scene: null, // id of the scene that is shown, and edited
  hovered: null, // id of the scene under the mouse
  moved: null, // {by: scene, fronts: Map of scene to the front before}, after a correction
  before: null, // points of the curve before a correction
  playing: false,
  layers: {
    image: true, fronts: true, band: true, single: false, shore: true, zones: false, walls: true, lines: true,
  },
  stretch: { low: 0, high: 255 },
  fade: { amount: 0, side: -1 },
};

const listeners = new Map();

/** Call a function whenever something of this name changed. */
export function on(names, call) {
  for (const name of names.split(" ")) listeners.set(name, [...(listeners.get(name) ?? []), call]);
}

export function changed(name) {
  for (const call of listeners.get(name) ?? []) call();
}

export function sceneOf(id) {
  return state.glacier?.scenes.find((scene) => scene.id === id) ?? null;
}

export function current() {
  return sceneOf(state.scene);
}

export function frontOf(id, glacier = state.glacier) {
  return glacier?.fronts.features.find((front) => front.properties.scene === id) ?? null;
}

export function gradeOf(id) {
  return state.curve?.grades?.[id]?.grade ?? frontOf(id)?.properties.grade ?? null;
}

/** Return the dated scenes, in order of date. */
export function datedScenes() {
  return (state.glacier?.scenes ?? []).filter((scene) => scene.date);
}

/** Return the days of the first and the last scene. */
export function span() {
  const scenes = datedScenes();
  return scenes.length ? [dayOf(scenes[0].date), dayOf(scenes[scenes.length - 1].date)] : [0, 1];
}

/** Return the scene some steps on from the current one, or null at the end. */
export function neighbour(step) {
  const scenes = datedScenes();
  const at = scenes.findIndex((scene) => scene.id === state.scene);
  return at < 0 ? null : scenes[at + step] ?? null;
}

/** Return what counts as a correction of the date of a scene, or null. */
export function correctionOf(scene) {
  const all = state.glacier?.corrections.features ?? [];
  return all.find(({ properties }) => properties.scene === scene?.id || (scene?.date && properties.date === scene.date)) ?? null;
}

/** Name a scene for people: its date, or its name where it has none. */
export function title(scene) {
  return scene?.date ?? scene?.name ?? "–";
}
