// Drawing and mending of a line on the map. OpenLayers' own tools lose clicks that follow faster
// than a double click and vertices outside of the view; here each click is one vertex.

import { HIGHLIGHT } from "./colours.js";
import { byId } from "./dom.js";
import { nearestOnLines, nearestVertex, simplified } from "./geometry.js";
import { hideCurrent, map, occupiedBy } from "./map.js";
import { state } from "./state.js";

const ol = globalThis.ol;
const GRAB_PX = 9;
const SEGMENT_PX = 7;
const SNAP_PX = 14;
const SAME_PX = 7; // two clicks of a double click lie no farther apart
const LEAST_TOLERANCE = 0.5; // of a pixel of the scene: vertices that mean nothing are left out

const { Circle, Fill, Stroke, Style } = ol.style;

let lines = []; // arrays of [x, y]
let past = [];
let future = [];
let active = false;
let drawing = false; // clicks add vertices to the last line
let selected = null; // {line, vertex}
let dragged = null; // the same, while the mouse is down
let pointer = null; // where the mouse is, for the next segment
let lastClick = null;
let told = () => {};

const source = new ol.source.Vector();
const WHITE = new Stroke({ color: "#ffffff", width: 5.5, lineJoin: "round", lineCap: "round" });
const RED = new Stroke({ color: HIGHLIGHT, width: 2.4, lineJoin: "round", lineCap: "round" });
const DASHED = new Stroke({ color: HIGHLIGHT, width: 1.6, lineDash: [5, 5] });
const knob = (radius, fill, edge) => new Style({ image: new Circle({ radius, fill: new Fill({ color: fill }), stroke: new Stroke({ color: edge, width: 2 }) }) });
const KNOBS = { vertex: knob(4, "#ffffff", HIGHLIGHT), end: knob(5.5, HIGHLIGHT, "#ffffff"), selected: knob(6.5, "#f0e442", "#11161c"), snap: knob(8, "rgba(240, 228, 66, 0.25)", "#f0e442") };
const layer = new ol.layer.Vector({
  source,
  zIndex: 30,
  updateWhileAnimating: true,
  updateWhileInteracting: true,
  style: (feature) => {
    const kind = feature.get("kind");
    if (kind === "line") return [new Style({ stroke: WHITE }), new Style({ stroke: RED })];
    if (kind === "next") return new Style({ stroke: DASHED });
    return KNOBS[kind];
  },
});

function shown() {
  source.clear(true);
  if (!active) return;
  const made = [];
  const add = (geometry, kind) => made.push(new ol.Feature({ geometry, kind }));
  lines.forEach((line, number) => {
    if (line.length > 1) add(new ol.geom.LineString(line), "line");
    line.forEach((place, index) => {
      const isEnd = index === 0 || index === line.length - 1;
      const isSelected = selected?.line === number && selected.vertex === index;
      add(new ol.geom.Point(place), isSelected ? "selected" : isEnd ? "end" : "vertex");
    });
  });
  const last = lines[lines.length - 1];
  if (drawing && pointer && last?.length) add(new ol.geom.LineString([last[last.length - 1], pointer]), "next");
  if (drawing && pointer && !last?.length) {
    const place = snapped(pointer);
    if (place !== pointer) add(new ol.geom.Point(place), "snap");
  }
  source.addFeatures(made);
  byId("editing").dataset.vertices = vertices();
  byId("map").classList.toggle("drawing", drawing);
}

const reach = (pixels) => pixels * map.getView().getResolution();

/** Return the place on the walls of the fjord that is near, or the place itself. */
function snapped(place) {
  if (!byId("snap").checked) return place;
  return nearestOnLines(place, state.walls, reach(SNAP_PX))?.place ?? place;
}

function snapEnds() {
  for (const line of lines) {
    if (!line.length) continue;
    line[0] = snapped(line[0]);
    line[line.length - 1] = snapped(line[line.length - 1]);
  }
}

function copy() {
  return JSON.stringify(lines);
}

/** Change the lines, so that it can be undone. */
function change(act) {
  const before = copy();
  act();
  noted(before);
}

function noted(before) {
  if (copy() !== before) {
    past.push({ lines: before, drawing });
    future = [];
  }
  shown();
  told();
}

function stepped(from, to) {
  if (!from.length) return;
  to.push({ lines: copy(), drawing });
  const step = from.pop();
  lines = JSON.parse(step.lines);
  drawing = step.drawing;
  if (drawing && !lines.length) lines = [[]];
  selected = null;
  shown();
  told();
}

export const undo = () => stepped(past, future);
export const redo = () => stepped(future, past);
export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;
export const isActive = () => active;
export const isDrawing = () => drawing;
export const vertices = () => lines.reduce((sum, line) => sum + line.length, 0);

/** Return the lines of at least two vertices. */
export function drawn() {
  return JSON.parse(copy()).filter((line) => line.length > 1);
}

function begin() {
  active = true;
  past = [];
  future = [];
  selected = null;
  dragged = null;
  pointer = null;
  hideCurrent(true);
  shown();
  told();
}

/** Begin to mend lines; vertices without meaning are left out of them. */
export function editLines(from) {
  lines = from.map((line) => simplified(line, LEAST_TOLERANCE * state.glacier.pixel_size_m));
  drawing = false;
  begin();
}

/** Begin to draw a new line. */
export function drawNew() {
  lines = [[]];
  drawing = true;
  begin();
}

/** Take up what was drawn before. */
export function resume(kept, keptDrawing) {
  lines = kept;
  drawing = keptDrawing;
  if (drawing && !lines.length) lines = [[]];
  begin();
}

/** Stop adding vertices; the line can still be changed. */
export function finish() {
  if (!drawing) return;
  change(() => {
    drawing = false;
    snapEnds();
  });
}

export function stop() {
  active = false;
  drawing = false;
  lines = [];
  hideCurrent(false);
  shown();
  told();
}

/** Take the selected vertex out. */
export function removeSelected() {
  if (!selected) return;
  change(() => {
    const line = lines[selected.line];
    line.splice(selected.vertex, 1);
    if (line.length < 2 && lines.length > 1) lines.splice(selected.line, 1);
    selected = null;
  });
}

/** Select the vertex some steps on, for those who use no mouse. */
export function selectNext(step) {
  const all = lines.flatMap((line, number) => line.map((_, vertex) => ({ line: number, vertex })));
  if (!all.length) return;
  const at = all.findIndex((one) => one.line === selected?.line && one.vertex === selected?.vertex);
  selected = all[(at + step + all.length) % all.length];
  const place = lines[selected.line][selected.vertex];
  const extent = map.getView().calculateExtent(map.getSize());
  if (!ol.extent.containsCoordinate(extent, place)) map.getView().setCenter(place);
  shown();
}

/** Add a vertex half way after the selected one. */
export function insertAfterSelected() {
  if (!selected) return;
  const line = lines[selected.line];
  const at = Math.min(selected.vertex, line.length - 2);
  if (at < 0) return;
  change(() => {
    line.splice(at + 1, 0, [(line[at][0] + line[at + 1][0]) / 2, (line[at][1] + line[at + 1][1]) / 2]);
    selected = { line: selected.line, vertex: at + 1 };
  });
}

/** Move the selected vertex by pixels of the screen; without one, false. */
export function nudge(right, down) {
  if (!active) return false;
  const size = map.getView().getResolution();
  if (drawing && !selected) return false;
  if (!selected) return false;
  change(() => {
    const place = lines[selected.line][selected.vertex];
    lines[selected.line][selected.vertex] = [place[0] + right * size, place[1] - down * size];
  });
  return true;
}

/** Add a vertex where the middle of the map is: drawing without a mouse. */
export function addAtCenter() {
  if (drawing) added(map.getView().getCenter());
}

function added(place) {
  change(() => {
    const line = lines[lines.length - 1];
    line.push(line.length ? place : snapped(place));
  });
}

function clicked(event) {
  if (!drawing) return true;
  const now = event.pixel;
  const line = lines[lines.length - 1];
  const again = lastClick && performance.now() - lastClick.at < 400 && Math.hypot(now[0] - lastClick.pixel[0], now[1] - lastClick.pixel[1]) < SAME_PX;
  lastClick = { pixel: now, at: performance.now() };
  if (again) {
    if (line.length > 1) finish();
  } else added(event.coordinate);
  return false;
}

let beforeDrag = null;
let grip = [0, 0];

const tool = new ol.interaction.Pointer({
  handleDownEvent(event) {
    if (!active || drawing || event.originalEvent.button !== 0) return false;
    const place = event.coordinate;
    const vertex = nearestVertex(place, lines, reach(GRAB_PX));
    beforeDrag = copy();
    if (vertex) {
      if (event.originalEvent.altKey) {
        selected = vertex;
        removeSelected();
        return true;
      }
      dragged = vertex;
    } else {
      const segment = nearestOnLines(place, lines, reach(SEGMENT_PX));
      if (!segment) {
        selected = null;
        shown();
        return false;
      }
      lines[segment.line].splice(segment.segment + 1, 0, segment.place);
      dragged = { line: segment.line, vertex: segment.segment + 1 };
    }
    const at = lines[dragged.line][dragged.vertex];
    grip = [at[0] - place[0], at[1] - place[1]];
    selected = { line: dragged.line, vertex: dragged.vertex };
    shown();
    return true;
  },
  handleDragEvent(event) {
    if (!dragged) return;
    const line = lines[dragged.line];
    const place = [event.coordinate[0] + grip[0], event.coordinate[1] + grip[1]];
    const isEnd = dragged.vertex === 0 || dragged.vertex === line.length - 1;
    line[dragged.vertex] = isEnd ? snapped(place) : place;
    shown();
  },
  handleUpEvent() {
    if (dragged) noted(beforeDrag);
    dragged = null;
    return false;
  },
  handleMoveEvent(event) {
    if (!active) return;
    pointer = event.coordinate;
    if (drawing) shown();
  },
});

const handle = tool.handleEvent.bind(tool);
tool.handleEvent = (event) => {
  if (active && event.type === "click") return clicked(event);
  if (active && event.type === "dblclick") return false;
  return handle(event);
};

export function start(onChange) {
  told = onChange;
  map.addLayer(layer);
  map.addInteraction(tool);
  occupiedBy(() => active);
}
