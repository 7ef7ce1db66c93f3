// The page of `icefront view`: starts its parts and brings them data.

import * as connection from "./connection.js";
import * as corrections from "./corrections.js";
import { byId, dismiss, el, notice, say } from "./dom.js";
import * as drafts from "./drafts.js";
import * as editor from "./editor.js";
import { linesOf } from "./geometry.js";
import * as mapView from "./map.js";
import * as panel from "./panel.js";
import * as person from "./person.js";
import { exported, load, Refused, Unreachable } from "./server.js";
import { changed, current, datedScenes, neighbour, on, sceneOf, state, title } from "./state.js";
import * as takeAlong from "./take_along.js";
import * as timeline from "./timeline.js";

const PLAY_MS = 700;
const ADDRESS_MS = 80;

const KEYS = [
  ["← →", "previous, next date"], ["Home End", "first, last date"], ["W", "the front that most likely is wrong; again: the next"],
  ["Space", "play, stop"], ["N", "fade the neighbouring date in and out"], ["1 to 8", "layers"], ["0", "show all fronts of the glacier"],
  ["A R", "accept, reject"], ["E D", "edit the line, draw a new one"], ["Enter", "end the line; without a mouse: + adds the middle of the map"],
  ["[ ]", "select the vertex before, after"], ["Alt + arrows", "move it (with Shift ten times as far)"], ["Insert Delete", "add a vertex after it, take it out"],
  ["Ctrl+Z Ctrl+Y", "undo, redo"], ["S", "save"], ["Esc", "discard the line"], ["?", "these keys"],
];

// --- data ------------------------------------------------------------------------------------

let asked = 0;

async function chooseGlacier(id, { scene = null, place = null } = {}) {
  if (state.glacier?.id === id) return;
  if (editor.isActive()) {
    if (corrections.isBusy()) return;
    say("The line is kept for later.");
    editor.stop();
  }
  const mine = ++asked;
  const glacier = await answered(() => load(`glaciers/${id}`));
  if (!glacier || mine !== asked) return;
  state.curve = null;
  state.walls = [];
  state.moved = state.before = null;
  state.glacier = glacier;
  const dated = datedScenes();
  const withFront = glacier.scenes.filter((one) => one.state === "done");
  state.scene = (scene !== null && sceneOf(scene) ? scene : null) ?? withFront.at(-1)?.id ?? dated.at(-1)?.id ?? glacier.scenes[0]?.id ?? null;
  document.title = `${glacier.name || "glacier"} · icefront`;
  changed("glacier");
  changed("walls");
  changed("curve");
  changed("moved");
  if (place) mapView.goTo(place);
  changed("layers");
  changed("scene");
  loadCurve();
  loadWalls();
}

/** Ask until there is an answer; null where the server refuses. */
async function answered(question) {
  for (;;) {
    try {
      return await question();
    } catch (error) {
      if (error instanceof Unreachable) await connection.back();
      else {
        notice("refused", error.message, { warning: true });
        return null;
      }
    }
  }
}

let curveTurn = 0;

async function loadCurve() {
  const { id } = state.glacier;
  const mine = ++curveTurn;
  const curve = await answered(() => load(`glaciers/${id}/curve`));
  if (!curve || state.glacier.id !== id || mine !== curveTurn) return;
  state.curve = curve;
  document.body.dataset.curve = curve.revision ?? "";
  changed("curve");
  changed("fade");
}

async function loadWalls() {
  const { id } = state.glacier;
  const answer = await answered(() => load(`glaciers/${id}/walls`));
  if (!answer || state.glacier.id !== id) return;
  state.walls = answer.walls.features.flatMap((feature) => linesOf(feature.geometry));
  changed("walls");
}

/** Another browser, or a run, changed the glacier that is shown. */
async function refreshed() {
  const known = state.project.glaciers.find((glacier) => glacier.id === state.glacier?.id);
  if (!known || known.revision === state.glacier.revision || corrections.isBusy()) return;
  if (editor.isActive()) return changed("elsewhere");
  const glacier = await answered(() => load(`glaciers/${known.id}`));
  if (!glacier || glacier.id !== state.glacier.id || corrections.isBusy() || editor.isActive()) return;
  if (glacier.revision !== state.glacier.revision) {
    state.moved = state.before = null;
    changed("moved");
  }
  corrections.take(glacier);
}

// --- the address -----------------------------------------------------------------------------

function hashed() {
  const values = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (values.has(name) && Number.isFinite(Number(values.get(name))) ? Number(values.get(name)) : null);
  const place = [number("x"), number("y"), number("r")];
  return { glacier: number("g"), scene: number("s"), place: place.includes(null) || place[2] <= 0 ? null : place };
}

let addressTimer = null;

/** Browsers mind an address that changes many times a second, as it would while a key is held. */
function noteAddressSoon() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(noteAddress, ADDRESS_MS);
}

function noteAddress() {
  clearTimeout(addressTimer);
  if (!state.glacier) return;
  const [x, y, r] = mapView.place() ?? [];
  const values = new URLSearchParams({ g: state.glacier.id, ...(state.scene !== null && { s: state.scene }) });
  if (r) for (const [name, value] of [["x", x.toFixed(1)], ["y", y.toFixed(1)], ["r", r.toPrecision(6)]]) values.set(name, value);
  history.replaceState(null, "", `${location.pathname}${location.search}#${values}`);
}

async function followAddress() {
  const { glacier, scene, place } = hashed();
  if (glacier !== null && glacier !== state.glacier?.id) return chooseGlacier(glacier, { scene, place });
  if (place) mapView.goTo(place);
  if (scene !== null && scene !== state.scene && sceneOf(scene)) choose(sceneOf(scene));
}

// --- time ------------------------------------------------------------------------------------

function choose(scene) {
  if (!scene || scene.id === state.scene) return;
  state.scene = scene.id;
  changed("scene");
}

function worst() {
  const review = (state.curve?.review ?? []).filter((one) => sceneOf(one.scene));
  if (!review.length) return say("No front is left to review.");
  const at = review.findIndex((one) => one.scene === state.scene);
  choose(sceneOf(review[(at + 1) % review.length].scene));
}

let playTimer = null;

function play(playing) {
  state.playing = playing;
  clearTimeout(playTimer);
  byId("play").setAttribute("aria-pressed", String(playing));
  byId("play").setAttribute("aria-label", playing ? "Stop" : "Play");
  if (playing) playTimer = setTimeout(playOn, PLAY_MS);
}

function playOn() {
  if (!state.playing) return;
  if (document.body.dataset.image !== "loading") choose(neighbour(1) ?? datedScenes()[0]);
  playTimer = setTimeout(playOn, PLAY_MS);
}

// --- keys ------------------------------------------------------------------------------------

const LAYER_KEYS = ["image", "fronts", "band", "single", "walls", "lines", "zones", "shore"];

function editKey(event) {
  if (!editor.isActive()) return false;
  const far = event.shiftKey ? 10 : 1;
  const arrows = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  if (event.altKey && event.key in arrows) editor.nudge(...arrows[event.key]);
  else if (event.key === "[") editor.selectNext(-1);
  else if (event.key === "]") editor.selectNext(1);
  else if (event.key === "Insert") editor.insertAfterSelected();
  else if (event.key === "+" && editor.isDrawing()) editor.addAtCenter();
  else if (event.key === "Delete" || event.key === "Backspace") editor.removeSelected();
  else if (event.key === "Enter" && editor.isDrawing()) editor.finish();
  else if (event.key === "Escape") corrections.discard();
  else if (event.key === "s") corrections.save();
  else return false;
  return true;
}

function plainKey(event) {
  const onMap = document.activeElement === byId("map");
  const acts = {
    ArrowLeft: () => choose(neighbour(-1)), ArrowRight: () => choose(neighbour(1)),
    Home: () => choose(datedScenes()[0]), End: () => choose(datedScenes().at(-1)),
    w: worst, " ": () => play(!state.playing), 0: () => mapView.fit(),
    n: () => { state.fade.amount = state.fade.amount ? 0 : 60; changed("fade"); },
    a: () => panel.verdict("accepted"), r: () => panel.verdict("rejected"),
    e: corrections.edit, d: corrections.draw, "?": () => byId("keys").showModal(),
  };
  // On the map, arrows with Shift move the view; OpenLayers' own keys are left alone there.
  if (onMap && event.shiftKey && event.key.startsWith("Arrow")) return false;
  if (/^[1-7]$/.test(event.key)) {
    const box = byId(`layer-${LAYER_KEYS[event.key - 1]}`);
    box.click();
    return true;
  }
  const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  act?.();
  return Boolean(act);
}

function keyDown(event) {
  const target = event.target;
  if (document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey) {
    if (!editor.isActive() || !["z", "y", "s"].includes(event.key.toLowerCase())) return;
    const key = event.key.toLowerCase();
    if (target.id === "note") return;
    event.preventDefault();
    if (key === "s") corrections.save();
    else if (key === "y" || event.shiftKey) editor.redo();
    else editor.undo();
    return;
  }
  const typing = target.matches("textarea, select, input:not([type=checkbox])");
  if (typing) return;
  if (event.key === " " && target.matches("button, input, [role=slider]")) return;
  if (event.key === "Enter" && target.matches("button, a")) return;
  if (event.altKey && !editor.isActive()) return;
  if (editKey(event) || plainKey(event)) {
    event.preventDefault();
    event.stopPropagation();
  }
}

// --- start -----------------------------------------------------------------------------------

function makeKeys() {
  byId("keys-list").replaceChildren(...KEYS.flatMap(([keys, text]) => [el("dt", {}, ...keys.split(" ").map((key) => (key.length > 1 && !/[A-Z]/.test(key[0]) ? ` ${key} ` : el("kbd", {}, key)))), el("dd", {}, text)]));
  byId("help").addEventListener("click", () => byId("keys").showModal());
}

function tellDrafts() {
  const waiting = drafts.waiting().filter((scene) => scene.id !== state.scene);
  if (!waiting.length || state.project.read_only) return dismiss("drafts");
  const names = waiting.map(title).join(", ");
  notice("drafts", `Lines that were not saved are kept for ${names}.`, {
    buttons: [["Later", null], [`Go on with ${title(waiting[0])}`, () => choose(waiting[0]), true]],
  });
}

async function begin() {
  state.project = await answered(() => load("project"));
  if (!state.project) {
    byId("connection").textContent = "No project";
    return;
  }
  const { project } = state;
  byId("title").textContent = project.name;
  byId("title").title = `icefront ${project.version}`;
  byId("subtitle").textContent = project.read_only ? "read-only page" : "";
  for (const note of project.notes ?? []) notice(`note ${note}`, note);
  mapView.start();
  timeline.start();
  panel.start(chooseGlacier);
  person.start();
  corrections.start();
  takeAlong.start();
  makeKeys();
  connection.start();
  on("project", refreshed);
  on("stale", loadCurve);
  on("scene place", noteAddressSoon);
  addEventListener("pagehide", noteAddress);
  on("scene", () => { if (!editor.isActive()) corrections.resumeDraft(); });
  byId("previous").addEventListener("click", () => choose(neighbour(-1)));
  byId("next").addEventListener("click", () => choose(neighbour(1)));
  byId("worst").addEventListener("click", worst);
  byId("play").addEventListener("click", () => play(!state.playing));
  document.addEventListener("keydown", keyDown, true);
  addEventListener("hashchange", followAddress);
  changed("project");
  const { glacier, scene, place } = hashed();
  const first = project.glaciers.find((one) => one.id === glacier) ?? project.glaciers[0];
  if (!first) {
    byId("empty").hidden = false;
    byId("empty").textContent = "This project has no scenes yet.";
    return;
  }
  await chooseGlacier(first.id, first.id === glacier ? { scene, place } : {});
  tellDrafts();
  if (exported()) byId("connection").textContent = "";
  document.body.dataset.ready = "yes";
}

begin().catch((error) => {
  if (!(error instanceof Refused)) throw error;
  notice("refused", error.message, { warning: true });
});
