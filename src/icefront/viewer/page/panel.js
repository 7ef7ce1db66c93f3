// What stands beside the map: glaciers, layers, the facts of a front, verdicts, tools.

import { rampColour, RAMP_STEPS, rampStep } from "./colours.js";
import * as corrections from "./corrections.js";
import { dayOf, metres } from "./dates.js";
import { byId, el, show, svg } from "./dom.js";
import * as drafts from "./drafts.js";
import * as editor from "./editor.js";
import { exported } from "./server.js";
import { changed, correctionOf, current, datedScenes, frontOf, gradeOf, neighbour, on, sceneOf, span, state, title } from "./state.js";

const REMARKS = ["cloud or shadow", "partial front", "compared with another image"];
const SOURCES = { smoothed: "smoothed", provisional: "provisional", corrected: "corrected" };

const LAYERS = [
  ["image", "Scene", null],
  ["fronts", "Fronts of all dates", ["M0 7 5 2l6 6 7-5", rampColour(40), null]],
  ["band", "Uncertainty", ["M0 5h18", rampColour(40, 0.35), null, 9]],
  ["single", "Single-date front", ["M0 5h18", "var(--b)", "2 4"]],
  ["shore", "Shore", ["M0 5h18", "#cc79a7", "6 5"]],
  ["walls", "Walls", ["M0 5h18", "#f0e442", null]],
  ["lines", "Centreline and box", ["M0 5h18", "var(--ink)", "5 3"]],
  ["zones", "Zones", null],
];

export function start(chooseGlacier) {
  makeLayers();
  makeFlags();
  on("project", () => showGlaciers(chooseGlacier));
  on("glacier", () => {
    showGlaciers(chooseGlacier);
    showRamp();
    show(layerLabels.get("zones"), Boolean(state.glacier.tiles.zones)); // an export has none
    show(layerLabels.get("shore"), state.glacier.shores.features.length > 0);
  });
  on("scene curve glacier", showScene);
  on("editing scene glacier connection", showTools);
  on("moved", showMoved);
  on("fade scene editing", showChip);
  on("stretch", showStretch);
  byId("accept").addEventListener("click", () => verdict("accepted"));
  byId("reject").addEventListener("click", () => verdict("rejected"));
  byId("note").addEventListener("change", () => corrections.judge({ note: byId("note").value.trim() || null }));
  for (const [id, act] of [["edit", corrections.edit], ["draw", corrections.draw], ["undo", editor.undo], ["redo", editor.redo],
    ["save", corrections.save], ["cancel", corrections.discard], ["take-back", corrections.takeBack]]) {
    byId(id).addEventListener("click", () => act());
  }
  for (const [id, key] of [["dark", "low"], ["bright", "high"]]) {
    byId(id).addEventListener("input", () => {
      state.stretch[key] = Number(byId(id).value);
      // Black stays below white.
      if (key === "low") state.stretch.high = Math.max(state.stretch.high, state.stretch.low + 5);
      else state.stretch.low = Math.min(state.stretch.low, state.stretch.high - 5);
      changed("stretch");
    });
  }
  byId("image-reset").addEventListener("click", () => {
    state.stretch = { low: 0, high: 255 };
    state.fade.amount = 0;
    changed("stretch");
    changed("fade");
  });
  byId("fade").addEventListener("input", () => { state.fade.amount = Number(byId("fade").value); changed("fade"); });
  byId("fade-side").addEventListener("change", () => { state.fade.side = Number(byId("fade-side").value); changed("fade"); });
  on("fade scene", showFade);
}

/** Accept or reject; the same again takes it back. */
export function verdict(value) {
  corrections.judge({ verdict: current()?.verdict === value ? null : value });
}

// --- left ------------------------------------------------------------------------------------

function showGlaciers(choose) {
  const items = state.project.glaciers.map((glacier) => {
    const open = glacier.to_review;
    const button = el("button", { type: "button", "aria-current": glacier.id === state.glacier?.id ? "true" : null, onclick: () => choose(glacier.id) },
      el("span", { class: "name" }, glacier.name || "Glacier without a name"),
      el("span", { class: open ? "count some" : "count" }, open === null ? "…" : open ? `${open} to review` : "reviewed"),
      el("span", { class: "newest" }, [glacier.newest ?? "no date", `${glacier.fronts} ${glacier.fronts === 1 ? "front" : "fronts"}`,
        glacier.corrections ? `${glacier.corrections} corrected` : ""].filter(Boolean).join(" · ")));
    button.title = `${glacier.fronts} fronts of ${glacier.scenes} scenes, newest ${glacier.newest ?? "–"}`;
    return el("li", {}, button);
  });
  byId("glaciers").replaceChildren(...items);
}

const layerLabels = new Map();

function makeLayers() {
  byId("layers").replaceChildren(...LAYERS.map(([name, text, key]) => {
    const box = el("input", { type: "checkbox", id: `layer-${name}` });
    box.checked = state.layers[name];
    box.addEventListener("change", () => { state.layers[name] = box.checked; changed("layers"); });
    const label = el("label", { class: "check" }, box, text);
    if (key) {
      const [d, stroke, dashes, width] = key;
      label.append(svg("svg", { class: "key", viewBox: "0 0 18 10", "aria-hidden": "true" }, svg("path", { d, stroke, fill: "none", "stroke-width": width ?? 2, "stroke-dasharray": dashes })));
    }
    layerLabels.set(name, label);
    return label;
  }));
}

function showStretch() {
  const { low, high } = state.stretch;
  for (const [id, value] of [["dark", low], ["bright", high]]) {
    byId(id).value = value;
    byId(`${id}-value`).textContent = value;
  }
}

function showFade() {
  const { amount, side } = state.fade;
  byId("fade").value = amount;
  byId("fade-value").textContent = `${amount} %`;
  byId("fade-side").value = String(side);
  const other = neighbour(side);
  byId("fade").disabled = !other;
  byId("fade-what").textContent = other ? `${title(other)} over ${title(current())}` : `There is no date ${side < 0 ? "before" : "after"}.`;
}

// --- over the map ----------------------------------------------------------------------------

function showChip() {
  const scene = current();
  const chip = byId("chip");
  show(chip, Boolean(scene));
  if (!scene) return;
  const grade = gradeOf(scene.id);
  const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
  if (scene.date) swatch.style.backgroundColor = rampColour(rampStep(dayOf(scene.date), span()));
  const parts = [swatch, el("span", { class: "date" }, title(scene)), el("span", {}, [scene.sensor, scene.polarisation].filter(Boolean).join(" "))];
  if (grade) parts.push(el("span", { class: `grade ${grade}`, title: `Grade ${grade}` }, grade));
  if (scene.verdict) parts.push(el("span", {}, scene.verdict));
  const other = state.fade.amount > 0 ? neighbour(state.fade.side) : null;
  if (other) parts.push(el("span", { class: "faded" }, `+ ${state.fade.amount} % of ${title(other)}`));
  chip.replaceChildren(...parts);
  const edited = corrections.editedScene();
  const note = byId("editing");
  show(note, Boolean(edited));
  if (!edited) return;
  const hint = editor.isDrawing() ? "Click from wall to wall; Enter or double click ends." : "Drag vertices or the line; Alt+click takes one out.";
  const strong = edited.id === scene.id ? `Editing ${title(edited)}` : `Still editing ${title(edited)}: the picture is of ${title(scene)}`;
  note.replaceChildren(el("strong", {}, strong), ` · ${editor.vertices()} ${editor.vertices() === 1 ? "vertex" : "vertices"}`, el("br"), el("span", { class: "hint" }, hint));
}

function showRamp() {
  const scenes = datedScenes();
  const bars = Array.from({ length: RAMP_STEPS }, (_, step) => svg("rect", { x: step, y: 0, width: 1.05, height: 1, fill: rampColour(step) }));
  byId("ramp").replaceChildren(
    svg("svg", { viewBox: `0 0 ${RAMP_STEPS} 1`, preserveAspectRatio: "none", "shape-rendering": "crispEdges" }, ...bars),
    el("div", {}, el("span", {}, scenes[0]?.date ?? ""), el("span", {}, scenes[scenes.length - 1]?.date ?? "")),
  );
}

// --- right -----------------------------------------------------------------------------------

function showScene() {
  const scene = current();
  const facts = byId("facts");
  if (!scene) return facts.replaceChildren(el("p", { class: "hint" }, "No scene."));
  const front = frontOf(scene.id)?.properties;
  const grade = gradeOf(scene.id);
  const point = state.curve?.points?.find((one) => one.scene === scene.id);
  const head = el("div", { class: "facts-head" }, title(scene));
  if (grade) head.append(el("span", { class: `grade ${grade}` }, grade));
  const rows = [
    ["Scene", [scene.sensor, scene.polarisation, scene.orbit].filter(Boolean).join(" ") || scene.name],
    ["State", scene.state === "done" ? SOURCES[front?.through_time] ?? "single-date" : scene.state],
    ["Position", point ? `${metres(point.position_m)}${point.outlier ? " (outlier)" : ""}` : null],
    ["Uncertainty", front?.uncertainty_m ? `± ${metres(front.uncertainty_m)}` : null],
    ["Length", front?.length_m ? `${(front.length_m / 1000).toFixed(2)} km` : null],
    ["Moved by pass", front?.moved_m ? metres(front.moved_m) : null],
    ["Interpolated", front?.interpolated ? `${Math.round(front.interpolated * 100)} %` : null],
    ["Verdict", scene.verdict ? `${scene.verdict}${scene.person ? ` by ${scene.person}` : ""}` : null],
  ].filter(([, value]) => value);
  const list = el("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  list.title = scene.name;
  const why = state.curve?.grades?.[scene.id]?.why || state.curve?.review?.find((one) => one.scene === scene.id)?.why || scene.reason;
  facts.replaceChildren(head, list, ...(why ? [el("p", { class: "why" }, why)] : []));
  byId("accept").setAttribute("aria-pressed", String(scene.verdict === "accepted"));
  byId("reject").setAttribute("aria-pressed", String(scene.verdict === "rejected"));
  for (const remark of REMARKS) byId(`flag-${REMARKS.indexOf(remark)}`).checked = scene.remarks?.includes(remark) ?? false;
  if (document.activeElement !== byId("note") || byId("note").dataset.scene !== String(scene.id)) byId("note").value = scene.note ?? "";
  byId("note").dataset.scene = scene.id;
}

function makeFlags() {
  byId("flags").append(...REMARKS.map((remark, number) => {
    const box = el("input", { type: "checkbox", id: `flag-${number}` });
    box.addEventListener("change", () => corrections.judge({ remarks: REMARKS.filter((_, other) => byId(`flag-${other}`).checked) }));
    return el("label", { class: "check" }, box, remark[0].toUpperCase() + remark.slice(1));
  }));
}

function showTools() {
  const { glacier } = state;
  const active = editor.isActive();
  const busy = corrections.isBusy() || glacier.busy;
  show(byId("correcting"), !state.project.read_only && !exported());
  show(byId("judging"), !state.project.read_only && !active);
  show(byId("start-tools"), !active);
  show(byId("edit-tools"), active);
  const scene = current();
  byId("edit").disabled = byId("draw").disabled = busy || !glacier.can_correct || !scene?.date;
  byId("edit").title = byId("draw").title = glacier.can_correct ? "" : glacier.why_not ?? "";
  byId("edit").disabled ||= !frontOf(scene?.id);
  byId("undo").disabled = busy || !editor.canUndo();
  byId("redo").disabled = busy || !editor.canRedo();
  byId("save").disabled = byId("cancel").disabled = busy;
  const correction = correctionOf(scene);
  const button = byId("take-back");
  show(button, Boolean(correction) && !active);
  button.disabled = busy;
  button.textContent = `Take back the line${correction?.properties.person ? ` of ${correction.properties.person}` : ""}`;
  const draft = !active && scene && drafts.find(scene);
  byId("edit").classList.toggle("main", Boolean(draft));
  const why = byId("moved");
  if (!glacier.can_correct && glacier.why_not && !why.childElementCount) why.replaceChildren(el("p", { class: "hint" }, glacier.why_not));
  document.body.dataset.busy = busy ? "yes" : "no";
}

function showMoved() {
  const box = byId("moved");
  const { moved } = state;
  if (!moved) return box.replaceChildren();
  const by = sceneOf(moved.by);
  const count = moved.list.length;
  const done = `${title(by)} is ${moved.undone ? "taken back" : "saved"}`;
  const head = count ? `${done}; ${count} ${count === 1 ? "neighbour" : "neighbours"} moved:` : `${done}; no neighbour moved.`;
  box.replaceChildren(el("strong", {}, head), el("ul", {}, ...moved.list.map((one) =>
    el("li", {}, el("button", { type: "button", onclick: () => { state.scene = one.scene; changed("scene"); } }, el("span", {}, one.date), el("span", {}, Number.isFinite(one.moved_m) ? metres(one.moved_m) : ""))))),
  ...moved.notes.map((note) => el("p", { class: "hint" }, note)));
  if (count) box.append(el("p", { class: "hint" }, "Dashed on the map: where they were."), el("button", { type: "button", class: "quiet", onclick: () => { state.moved = null; state.before = null; changed("moved"); } }, "Hide"));
}


