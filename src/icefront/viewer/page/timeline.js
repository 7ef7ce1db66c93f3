// Through time: a tick for each scene by its grade, and the curve of positions, on one axis.

import { GRADE_HEIGHTS, rampColour, rampStep } from "./colours.js";
import { dayOf, metres, timeTicks, valueTicks } from "./dates.js";
import { byId, el, svg } from "./dom.js";
import { changed, current, datedScenes, gradeOf, neighbour, on, span, state } from "./state.js";

const LEFT = 62, RIGHT = 14;
const REACH_PX = 22; // how far from a tick a click may be

let width = 0;
let axis = null; // {x(day), day(x)}

function makeAxis() {
  const [first, last] = span();
  const margin = Math.max((last - first) * 0.015, 5);
  const [from, to] = [first - margin, last + margin];
  const inner = Math.max(width - LEFT - RIGHT, 10);
  axis = {
    from, to,
    x: (day) => LEFT + ((day - from) / (to - from)) * inner,
    day: (x) => from + ((x - LEFT) / inner) * (to - from),
  };
}

const f = (value) => value.toFixed(1);

export function start() {
  new ResizeObserver(() => draw()).observe(byId("curve"));
  on("glacier curve", draw);
  on("scene hover", mark);
  on("moved", draw);
  const ticks = byId("ticks");
  let down = false;
  ticks.addEventListener("pointerdown", (event) => { down = true; ticks.setPointerCapture(event.pointerId); nearest(event); });
  ticks.addEventListener("pointermove", (event) => { if (down) nearest(event); });
  ticks.addEventListener("pointerup", () => { down = false; });
  ticks.addEventListener("keydown", (event) => {
    const scenes = datedScenes();
    const to = { ArrowLeft: neighbour(-1), ArrowDown: neighbour(-1), ArrowRight: neighbour(1), ArrowUp: neighbour(1),
      Home: scenes[0], End: scenes[scenes.length - 1], PageDown: neighbour(-10) ?? scenes[0], PageUp: neighbour(10) ?? scenes[scenes.length - 1] };
    if (!(event.key in to)) return;
    event.preventDefault();
    event.stopPropagation();
    if (to[event.key]) go(to[event.key].id);
  });
  legend();
}

function go(id) {
  if (id === state.scene) return;
  state.scene = id;
  changed("scene");
}

function nearest(event) {
  const x = event.clientX - byId("ticks").getBoundingClientRect().left;
  let best = null, least = Infinity;
  for (const scene of datedScenes()) {
    const apart = Math.abs(axis.x(dayOf(scene.date)) - x);
    if (apart < least) [best, least] = [scene, apart];
  }
  if (best && (least < REACH_PX || event.type === "pointermove")) go(best.id);
}

function draw() {
  if (!state.glacier) return;
  width = byId("curve").clientWidth;
  if (!width) return;
  makeAxis();
  drawTicks();
  drawCurve();
  mark();
}

// --- ticks -----------------------------------------------------------------------------------

const TICKS_HEIGHT = 24;

function gradeClass(scene) {
  return [scene.state === "done" ? gradeOf(scene.id) ?? "" : "none", scene.verdict === "rejected" ? "rejected" : ""].join(" ").trim();
}

function drawTicks() {
  const height = TICKS_HEIGHT;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  root.append(svg("line", { class: "gridline", x1: LEFT, x2: width - RIGHT, y1: height - 0.5, y2: height - 0.5 }));
  for (const scene of datedScenes()) {
    const x = f(axis.x(dayOf(scene.date)));
    const tall = (GRADE_HEIGHTS[gradeOf(scene.id)] ?? 0.25) * (height - 6);
    root.append(svg("line", { class: `tick ${gradeClass(scene)}`, x1: x, x2: x, y1: height - 1, y2: f(height - 1 - tall) }));
  }
  root.append(svg("g", { class: "now-group" }));
  byId("ticks").replaceChildren(root);
}

// --- the curve -------------------------------------------------------------------------------

let places = new Map(); // scene to [x, y] of its point

function drawCurve() {
  const box = byId("curve");
  const height = box.clientHeight;
  const bottom = height - 18, top = 6;
  places = new Map();
  const { curve } = state;
  const points = (curve?.points ?? []).filter((point) => Number.isFinite(point.position_m));
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}` });
  for (const tick of timeTicks(axis.from, axis.to, Math.max(width / 90, 3))) {
    const x = f(axis.x(tick.day));
    root.append(
      svg("line", { class: "gridline", x1: x, x2: x, y1: top, y2: bottom }),
      svg("text", { x, y: height - 4, "text-anchor": "middle", "font-weight": tick.year ? 700 : 400 }, tick.text),
    );
  }
  if (points.length) drawPositions(root, points, top, bottom);
  else root.append(svg("text", { x: width / 2, y: (top + bottom) / 2, "text-anchor": "middle" }, curve ? curve.note ?? "No front could be measured yet." : "The curve is being made …"));
  box.replaceChildren(root);
  const summary = (curve?.summary ?? "").replace(/-(?=\d)/g, "−");
  byId("series").textContent = summary;
  byId("series").title = summary;
}

function drawPositions(root, points, top, bottom) {
  const { curve } = state;
  // An outlier must not press the curve flat: it counts, but its error bar does not.
  const values = points.flatMap((point) => {
    const error = point.outlier ? 0 : point.uncertainty_m ?? 0;
    return [point.position_m - error, point.position_m + error];
  });
  let low = Math.min(...values), high = Math.max(...values);
  const margin = Math.max((high - low) * 0.06, 10);
  [low, high] = [low - margin, high + margin];
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
  const ticks = valueTicks(low, high, 4);
  for (const value of ticks) {
    const unit = value === ticks.at(-1) ? " m" : "";
    root.append(
      svg("line", { class: "gridline", x1: LEFT, x2: width - RIGHT, y1: f(y(value)), y2: f(y(value)) }),
      svg("text", { x: LEFT - 6, y: f(y(value) + 4), "text-anchor": "end" }, String(value).replace("-", "−") + unit),
    );
  }
  for (const event of curve.events ?? []) {
    const [from, to] = [axis.x(dayOf(event.before)), axis.x(dayOf(event.after))];
    root.append(svg("rect", { class: "event", x: f(from), width: f(Math.max(to - from, 2)), y: top, height: bottom - top },
      svg("title", {}, `Calving between ${event.before} and ${event.after}: ${metres(event.drop_m)} ± ${metres(event.uncertainty_m)}`)));
  }
  const path = (list, key = "position_m") => list.map((one, index) => `${index ? "L" : "M"}${f(axis.x(dayOf(one.date)))} ${f(y(one[key]))}`).join("");
  const trend = curve.trend ?? [];
  if (trend.length) {
    // Few dates leave a wide band: it is cut off, so that the points keep their room.
    const inside = trend.map((one) => ({ ...one, low: Math.max(one.low, low), high: Math.min(one.high, high) }));
    root.append(svg("path", { class: "trend-band", d: `${path(inside, "low")}${path(inside.reverse(), "high").replace("M", "L")}Z` }));
  }
  if (curve.season?.length) root.append(svg("path", { class: "season", d: path(curve.season) }));
  if (trend.length) root.append(svg("path", { class: "trend", d: path(trend) }));
  if (state.before) {
    const old = new Map(state.before.map((point) => [point.scene, point.position_m]));
    for (const point of points) {
      const was = old.get(point.scene);
      if (!Number.isFinite(was) || Math.abs(was - point.position_m) < 1) continue;
      const x = f(axis.x(dayOf(point.date)));
      root.append(svg("line", { class: "shift", x1: x, x2: x, y1: f(y(was)), y2: f(y(point.position_m)) }), svg("circle", { class: "before", cx: x, cy: f(y(was)), r: 3 }));
    }
  }
  const radius = points.length > 250 ? 2.6 : 4;
  for (const point of points) {
    const at = [axis.x(dayOf(point.date)), y(point.position_m)];
    places.set(point.scene, at);
    const [x, place] = at.map(f);
    const colour = rampColour(rampStep(dayOf(point.date), span()));
    if (point.uncertainty_m && !point.outlier) {
      root.append(svg("line", { class: "error", x1: x, x2: x, y1: f(y(point.position_m - point.uncertainty_m)), y2: f(y(point.position_m + point.uncertainty_m)) }));
    }
    const text = `${point.date}: ${metres(point.position_m)}${point.uncertainty_m ? ` ± ${metres(point.uncertainty_m)}` : ""}${point.grade ? `, grade ${point.grade}` : ""}${point.outlier ? ", outlier" : ""}`;
    const link = { dataset: { scene: point.scene }, onclick: () => go(point.scene), onpointerenter: () => hovered(point.scene), onpointerleave: () => hovered(null) };
    root.append(point.outlier
      ? svg("path", { class: "outlier", stroke: colour, d: `M${x} ${place}m-4-4l8 8m0-8l-8 8` })
      : svg("circle", { class: "point", cx: x, cy: place, r: radius, fill: colour }));
    root.append(svg("circle", { class: "hit", cx: x, cy: place, r: Math.max(radius + 3, 6), ...link }, svg("title", {}, text)));
  }
  root.append(svg("g", { class: "now-group" }));
}

function hovered(scene) {
  state.hovered = scene;
  changed("hover");
}

/** Mark the current date, and the one under the mouse. */
function mark() {
  if (!axis || !state.glacier) return;
  const scene = current();
  const ticks = byId("ticks");
  const scenes = datedScenes();
  const at = scenes.findIndex((one) => one.id === scene?.id);
  ticks.setAttribute("aria-valuemin", "1");
  ticks.setAttribute("aria-valuemax", String(Math.max(scenes.length, 1)));
  ticks.setAttribute("aria-valuenow", String(at + 1));
  ticks.setAttribute("aria-valuetext", scene ? `${scene.date ?? scene.name}${gradeOf(scene.id) ? `, grade ${gradeOf(scene.id)}` : ""}` : "none");
  const onTicks = ticks.querySelector(".now-group");
  if (onTicks && scene?.date) {
    const x = axis.x(dayOf(scene.date));
    onTicks.replaceChildren(
      svg("line", { class: "now", x1: f(x), x2: f(x), y1: 5, y2: TICKS_HEIGHT }),
      svg("path", { class: "now-head", d: `M${f(x - 5)} 0h10l-5 7z` }),
    );
  } else onTicks?.replaceChildren();
  const onCurve = byId("curve").querySelector(".now-group");
  if (!onCurve) return;
  const rings = [];
  if (places.has(scene?.id)) rings.push(svg("circle", { class: "ring", cx: f(places.get(scene.id)[0]), cy: f(places.get(scene.id)[1]), r: 7 }));
  if (state.hovered !== scene?.id && places.has(state.hovered)) {
    const [x, y] = places.get(state.hovered);
    rings.push(svg("circle", { class: "ring hover", cx: f(x), cy: f(y), r: 7 }));
  }
  onCurve.replaceChildren(...rings);
}

function legend() {
  const key = (shape, text) => el("span", {}, svg("svg", { viewBox: "0 0 16 12", "aria-hidden": "true" }, ...shape), text);
  const grade = (name) => key([svg("line", { class: `tick ${name}`, x1: 8, x2: 8, y1: 12, y2: 12 - 12 * GRADE_HEIGHTS[name], "stroke-width": 3 })], name);
  byId("legend").replaceChildren(
    el("span", {}, "Grade"), grade("A"), grade("B"), grade("C"), grade("D"),
    key([svg("rect", { class: "trend-band", width: 16, height: 12 }), svg("path", { class: "trend", d: "M0 6h16" })], "trend, 95 %"),
    key([svg("path", { class: "season", d: "M0 6h16" })], "season"),
    key([svg("rect", { class: "event", x: 4, y: 0, width: 8, height: 12 })], "calving"),
    key([svg("path", { class: "outlier stroke-none", stroke: "currentColor", d: "M4 2l8 8m0-8l-8 8" })], "outlier"),
  );
}
