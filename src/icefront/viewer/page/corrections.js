// From a drawn line to a correction in the project, and what people say of fronts.

import { back } from "./connection.js";
import { byId, dismiss, notice, say, show } from "./dom.js";
import * as drafts from "./drafts.js";
import * as editor from "./editor.js";
import { geometryOf, linesOf, sameLines } from "./geometry.js";
import { person } from "./person.js";
import { load, Refused, send, Unreachable } from "./server.js";
import { changed, correctionOf, current, frontOf, on, sceneOf, state, title } from "./state.js";

const SAME_M = 0.5; // what a server may round
const WHILE_PASSING_MS = 1500;

let edited = null; // id of the scene whose line is drawn
let seen = null; // revision of the glacier that the person saw
let busy = false;

export const isBusy = () => busy;

function setBusy(value) {
  busy = value;
  show(byId("passing"), value);
  changed("editing");
}

// --- drawing ---------------------------------------------------------------------------------

function begin(act) {
  if (editor.isActive() || busy || !state.glacier?.can_correct || state.project.read_only) return;
  edited = state.scene;
  seen = state.glacier.revision;
  act();
}

export function edit() {
  const lines = linesOf(frontOf(state.scene)?.geometry);
  begin(() => (lines.length ? editor.editLines(lines) : editor.drawNew()));
}

export function draw() {
  begin(() => editor.drawNew());
}

export function editedScene() {
  return editor.isActive() ? sceneOf(edited) : null;
}

function noteDraft() {
  const scene = editedScene();
  if (scene && editor.vertices() && (editor.canUndo() || drafts.find(scene))) {
    drafts.keep(scene, { lines: editor.drawn().length ? editor.drawn() : [], drawing: editor.isDrawing(), seen });
  }
  changed("editing");
}

export function discard() {
  const scene = editedScene();
  if (!scene || busy) return;
  drafts.forget(scene);
  editor.stop();
  dismiss("conflict");
}

/** Take up a line of this scene that was not saved. */
export function resumeDraft() {
  const scene = current();
  const draft = drafts.find(scene);
  if (!draft || editor.isActive() || state.project.read_only || !state.glacier.can_correct) return;
  edited = scene.id;
  seen = draft.seen;
  editor.resume(draft.lines, draft.drawing);
  say(`The line of ${title(scene)} that was not saved is taken up again.`);
}

// --- saving ----------------------------------------------------------------------------------

/** Save the line as a correction; the pass through time runs before the answer comes. */
export async function save() {
  const scene = editedScene();
  if (!scene || busy) return;
  editor.finish();
  const lines = editor.drawn();
  if (!lines.length) {
    notice("short", "A line needs two vertices at least: click on the map to set them.", { seconds: 6 });
    return;
  }
  const name = await person();
  if (!name) return;
  await sent(scene, lines, { scene: scene.id, seen, person: name, line: geometryOf(lines) });
}

async function sent(scene, lines, body) {
  setBusy(true);
  drafts.keep(scene, { lines, drawing: false, seen: body.seen });
  const before = frontsNow();
  try {
    finished(scene, before, await send("corrections", body));
  } catch (error) {
    if (error instanceof Unreachable) await afterLoss(scene, lines, body, before);
    else if (error instanceof Refused && error.status === 409) conflict(scene, lines, body, error.body);
    else notice("refused", error.message, { warning: true });
  } finally {
    setBusy(false);
  }
}

function frontsNow() {
  return new Map(state.glacier.fronts.features.map((front) => [front.properties.scene, front]));
}

function finished(scene, before, answer, undone = false) {
  drafts.forget(scene);
  editor.stop();
  dismiss("conflict");
  dismiss("refused");
  const points = state.curve?.points ?? null;
  take(answer.glacier);
  state.before = points;
  const fronts = new Map();
  for (const { scene: id } of answer.moved) if (before.has(id)) fronts.set(id, before.get(id));
  state.moved = { by: scene.id, list: answer.moved, notes: answer.notes ?? [], fronts, undone };
  changed("moved");
  const count = answer.moved.length;
  say(`${undone ? "Taken back" : "Saved"}. ${count} neighbouring ${count === 1 ? "front" : "fronts"} moved.`);
}

/** Show a glacier as the server now has it. */
export function take(glacier) {
  state.glacier = glacier;
  changed("glacier");
  changed("scene");
  changed("stale");
}

/** The server went away while it saved: wait for it, look whether the line is there, else send it again. */
async function afterLoss(scene, lines, body, before) {
  for (;;) {
    await back();
    try {
      const glacier = await passed(await load(`glaciers/${state.glacier.id}`));
      const kept = glacier.corrections.features.find(({ properties, geometry }) =>
        properties.scene === scene.id && properties.person === body.person && sameLines(linesOf(geometry), lines, SAME_M));
      if (kept) {
        const after = new Map(glacier.fronts.features.map((front) => [front.properties.scene, front]));
        const moved = [...before].filter(([id, front]) => id !== scene.id && after.has(id) &&
          JSON.stringify(front.geometry) !== JSON.stringify(after.get(id).geometry))
          .map(([id, front]) => ({ scene: id, date: front.properties.date, moved_m: null }));
        finished(scene, before, { glacier, moved, notes: ["The line was saved before the server stopped."] });
        return;
      }
      if (glacier.revision !== body.seen) return conflict(scene, lines, body, { revision: glacier.revision, glacier });
      finished(scene, before, await send("corrections", body));
      return;
    } catch (error) {
      if (error instanceof Unreachable) continue;
      if (error instanceof Refused && error.status === 409) conflict(scene, lines, body, error.body);
      else notice("refused", error.message, { warning: true });
      return;
    }
  }
}

/** Wait until the pass through time that a glacier is in has ended. */
async function passed(glacier) {
  let found = glacier;
  while (found.busy) {
    await new Promise((resolve) => setTimeout(resolve, WHILE_PASSING_MS));
    found = await load(`glaciers/${glacier.id}`);
  }
  return found;
}

function conflict(scene, lines, body, { person: who, glacier, revision }) {
  if (glacier) take(glacier);
  const other = who ? `${who} changed` : "Somebody changed";
  notice("conflict", `${other} fronts of ${state.glacier.name} while you drew. Yours is kept and not saved yet; the map now shows theirs under it.`, {
    warning: true,
    buttons: [
      ["Keep drawing", () => { seen = revision; }],
      ["Discard mine", () => { setBusy(false); discard(); }],
      ["Save mine", () => { seen = revision; sent(scene, lines, { ...body, seen: revision }); }, true],
    ],
  });
}

/** Take the correction of the current date back. */
export async function takeBack() {
  const scene = current();
  const correction = correctionOf(scene);
  if (!correction || busy || editor.isActive()) return;
  const name = await person();
  if (!name) return;
  setBusy(true);
  const before = frontsNow();
  try {
    const answer = await send(`corrections/${correction.properties.number}/undo`, { seen: state.glacier.revision, person: name });
    finished(scene, before, answer, true);
  } catch (error) {
    if (error instanceof Unreachable) {
      await back();
      take(await load(`glaciers/${state.glacier.id}`));
    } else {
      if (error.body?.glacier) take(error.body.glacier);
      notice("refused", error.message, { warning: true });
    }
  } finally {
    setBusy(false);
  }
}

// --- verdicts --------------------------------------------------------------------------------

let judging = Promise.resolve();

/** Record what the person says of the current front, after what was said before. */
export function judge(changes) {
  const id = state.scene;
  judging = judging.then(() => judged(id, changes));
  return judging;
}

async function judged(id, changes) {
  if (!sceneOf(id) || state.project.read_only || busy) return;
  const name = await person();
  const scene = sceneOf(id);
  if (!name || !scene) return changed("scene");
  const { verdict, remarks, note } = { ...scene, ...changes };
  const body = { scene: scene.id, seen: scene.verdict_revision, verdict, remarks, note: note || null, person: name };
  for (;;) {
    try {
      const answer = await send("verdicts", body);
      replaced(answer.scene);
      state.glacier.revision = answer.revision ?? state.glacier.revision;
      if (seen !== null && editor.isActive()) seen = state.glacier.revision;
      changed("stale");
      return say(`${title(scene)}: ${verdict ?? "no verdict"}.`);
    } catch (error) {
      if (error instanceof Unreachable) {
        await back();
        continue;
      }
      if (error.status === 409 && error.body.scene) {
        replaced(error.body.scene);
        const who = error.body.scene.person ?? "Somebody";
        notice("verdict", `${who} judged the front of ${title(scene)} meanwhile: look at it, and say it again if you think otherwise.`, { warning: true });
      } else notice("verdict", error.message, { warning: true });
      return changed("scene");
    }
  }
}

function replaced(scene) {
  const at = state.glacier.scenes.findIndex((other) => other.id === scene.id);
  if (at >= 0) state.glacier.scenes[at] = scene;
  changed("glacier");
  changed("scene");
}

export function start() {
  editor.start(noteDraft);
  on("elsewhere", () => {
    if (!editor.isActive()) return;
    notice("elsewhere", `Somebody changed fronts of ${state.glacier.name} while you draw. Yours is kept; saving it will ask you.`, { seconds: 8 });
  });
}
