// The map: the scene as tiles, and lines over it, in the CRS of the glacier.

import { rampColour, rampStep } from "./colours.js";
import { dayOf } from "./dates.js";
import { byId, show } from "./dom.js";
import { geometryOf, linesOf } from "./geometry.js";
import { tileUrl } from "./server.js";
import { changed, current, frontOf, neighbour, on, sceneOf, span, state } from "./state.js";

const ol = globalThis.ol;
const PATIENCE_MS = 600; // after which a scene that still loads replaces the one before
const KEPT_IMAGES = 10;
const LEAST_PIXEL = 1 / 16; // of a pixel of the scene on the screen, zoomed in
const HIT_PX = 6;

const { Stroke, Style } = ol.style;

function stroke(color, width, lineDash) {
  return new Style({ stroke: new Stroke({ color, width, lineDash, lineCap: lineDash ? "butt" : "round", lineJoin: "round" }) });
}

const CASING = stroke("rgba(255, 255, 255, 0.9)", 6);
const lineStyles = new Map(); // OpenLayers is faster with few styles
function dateStyle(step, rejected) {
  const key = `${step} ${rejected}`;
  if (!lineStyles.has(key)) lineStyles.set(key, stroke(rampColour(step, rejected ? 0.55 : 0.95), rejected ? 1.2 : 1.8, rejected ? [3, 4] : undefined));
  return lineStyles.get(key);
}

function vectorLayer(style, zIndex) {
  return new ol.layer.Vector({ source: new ol.source.Vector(), style, zIndex, updateWhileAnimating: true, updateWhileInteracting: true });
}

const layers = {
  images: new ol.layer.Group({ zIndex: 0 }),
  zones: new ol.layer.Tile({ className: "zones", zIndex: 3, opacity: 0.45, visible: false }),
  walls: vectorLayer([stroke("rgba(0, 0, 0, 0.55)", 3.4), stroke("#f0e442", 1.4)], 5),
  lines: vectorLayer((feature) => [
    stroke("rgba(0, 0, 0, 0.5)", 3.6),
    stroke("#ffffff", 1.5, feature.get("kind") === "centreline" ? [8, 5] : undefined),
  ], 6),
  fronts: vectorLayer((feature) => dateStyle(feature.get("step"), feature.get("rejected")), 10),
  before: vectorLayer([stroke("rgba(0, 0, 0, 0.6)", 3.6, [5, 5]), stroke("#ffffff", 1.6, [5, 5])], 11),
  single: vectorLayer([stroke("rgba(0, 0, 0, 0.55)", 4, [2, 5]), stroke("#56b4e9", 2, [2, 5])], 12),
  shore: vectorLayer([stroke("rgba(0, 0, 0, 0.55)", 4, [6, 5]), stroke("#cc79a7", 2, [6, 5])], 7),
  band: vectorLayer(null, 13),
  current: vectorLayer(null, 14),
};

export const map = new ol.Map({
  controls: [
    new ol.control.Zoom({ zoomInTipLabel: "Closer", zoomOutTipLabel: "Farther" }),
    new ol.control.ScaleLine({ minWidth: 90 }),
  ],
  interactions: ol.interaction.defaults.defaults({ altShiftDragRotate: false, pinchRotate: false, doubleClickZoom: false }),
  layers: Object.values(layers),
  moveTolerance: 3,
});

function bandStyle(feature, resolution) {
  const width = (2 * feature.get("uncertainty")) / resolution;
  return new Style({ stroke: new Stroke({ color: rampColour(feature.get("step"), 0.28), width, lineCap: "butt", lineJoin: "round" }) });
}

function currentStyle(feature) {
  return [CASING, stroke(rampColour(feature.get("step")), 3.2)];
}

layers.band.setStyle(bandStyle);
layers.current.setStyle(currentStyle);

export function start() {
  map.setTarget(byId("map"));
  map.on("moveend", () => changed("place"));
  map.on("pointermove", hover);
  map.on("click", pick);
  byId("map").addEventListener("pointerleave", () => { byId("place").textContent = ""; hovering(null); });
  on("glacier", showGlacier);
  on("scene", showScene);
  on("layers", showLayers);
  on("curve", () => { showBoxes(); showFronts(); });
  on("walls", showWalls);
  on("moved", showBefore);
  on("stretch", showStretch);
  on("fade", showFade);
  on("hover", showHovered);
}

const WGS84 = ["EPSG:4326", "WGS84"];
const registered = new Set(WGS84);

function projectionOf({ code, proj4 }) {
  const { defs } = globalThis.proj4;
  defs(code, proj4);
  registered.add(code);
  // OpenLayers makes a transform for each pair: with all zones of UTM that takes half a second.
  for (const other of Object.keys(defs)) if (!registered.has(other)) delete defs[other];
  ol.proj.proj4.register(globalThis.proj4);
  return ol.proj.get(code);
}

// --- the glacier -----------------------------------------------------------------------------

let shown = null; // id of the glacier whose view is set

function showGlacier() {
  const { glacier } = state;
  if (glacier.id !== shown) {
    shown = glacier.id;
    layers.images.getLayers().clear();
    const projection = projectionOf(glacier.crs);
    const [left, bottom, right, top] = glacier.extent;
    const margin = 0.5 * Math.max(right - left, top - bottom);
    map.setView(new ol.View({
      projection,
      extent: [left - margin, bottom - margin, right + margin, top + margin],
      showFullExtent: true,
      constrainOnlyCenter: true,
      minResolution: glacier.pixel_size_m * LEAST_PIXEL,
      maxResolution: Math.max(...glacier.tiles.resolutions) * 4,
      center: [(left + right) / 2, (bottom + top) / 2],
      resolution: glacier.pixel_size_m,
    }));
    fit();
  }
  showFronts();
}

/** Show what matters of a glacier: its fronts, or else all of its scenes. */
export function fit() {
  const lines = state.glacier.fronts.features.flatMap((front) => linesOf(front.geometry));
  const extent = ol.extent.createEmpty();
  for (const line of lines) ol.extent.extend(extent, ol.extent.boundingExtent(line));
  if (ol.extent.isEmpty(extent)) ol.extent.extend(extent, state.glacier.extent);
  const side = Math.max(ol.extent.getWidth(extent), ol.extent.getHeight(extent));
  map.updateSize();
  map.getView().fit(ol.extent.buffer(extent, 0.25 * side), { padding: [10, 10, 10, 10] });
}

/** Return where the map is: [x, y, resolution]. */
export function place() {
  const view = map.getView();
  const center = view.getCenter();
  return center ? [...center, view.getResolution()] : null;
}

export function goTo([x, y, resolution]) {
  map.getView().setCenter([x, y]);
  map.getView().setResolution(resolution);
}

// --- pictures --------------------------------------------------------------------------------

function tileGrid() {
  const { origin, resolutions, size } = state.glacier.tiles;
  return new ol.tilegrid.TileGrid({ origin, resolutions, tileSize: size, extent: state.glacier.extent });
}

function tiles(template, scene, className) {
  const source = new ol.source.TileImage({
    projection: state.glacier.crs.code,
    tileGrid: tileGrid(),
    transition: 0,
    wrapX: false,
    tileUrlFunction: ([z, x, y]) => tileUrl(template, scene, z, x, y),
  });
  return className ? new ol.layer.Tile({ className, source, cacheSize: 128 }) : source;
}

const imageKey = (scene) => `${scene.id} ${scene.v}`;

function imageLayer(scene, className) {
  const all = layers.images.getLayers();
  const known = all.getArray().find((layer) => layer.get("key") === imageKey(scene) && layer.getClassName() === className);
  if (known) return known;
  const layer = tiles(state.glacier.tiles.scenes, scene, className);
  layer.set("key", imageKey(scene));
  layer.setVisible(false);
  all.push(layer);
  while (all.getLength() > KEPT_IMAGES) {
    const old = all.getArray().find((other) => !other.getVisible() && other !== layer);
    if (!old) break;
    all.remove(old);
  }
  return layer;
}

let turn = 0;

/** Show the picture of the current scene; the one before stays until all tiles are there. */
function showImage() {
  const scene = current();
  const mine = ++turn;
  const body = document.body;
  body.dataset.scene = scene?.id ?? "";
  const gone = !scene || scene.picture === "gone";
  const empty = byId("empty");
  empty.textContent = scene?.picture_note ?? "There is no picture of this scene.";
  show(empty, Boolean(scene) && gone);
  const layer = gone ? null : imageLayer(scene, "scene-image");
  const others = () => layers.images.getLayers().getArray().filter((other) => other !== layer && other.getClassName() === "scene-image");
  const settle = () => {
    if (mine !== turn) return;
    for (const other of others()) other.setVisible(false);
    layer?.setZIndex(1);
  };
  if (!layer || !state.layers.image) {
    settle();
    layer?.setVisible(false);
    body.dataset.image = gone ? "gone" : "off";
    changed("image");
    return;
  }
  body.dataset.image = "loading";
  layer.setZIndex(0);
  for (const other of others()) other.setZIndex(1);
  layer.setVisible(true);
  setTimeout(settle, PATIENCE_MS);
  map.once("rendercomplete", () => {
    if (mine !== turn) return;
    settle();
    map.once("postrender", () => { if (mine === turn) { body.dataset.image = "ready"; changed("image"); } });
    map.render();
    prefetch();
  });
  map.render();
}

/** Let the browser keep the tiles of the dates before and after that the view will need. */
function prefetch() {
  if (state.fade.amount > 0) return;
  const view = map.getView();
  const grid = tileGrid();
  const z = grid.getZForResolution(view.getResolution());
  const extent = ol.extent.getIntersection(view.calculateExtent(map.getSize()), state.glacier.extent);
  if (ol.extent.isEmpty(extent)) return;
  for (const step of [1, -1]) {
    const scene = neighbour(step);
    if (scene?.picture !== "ready") continue;
    grid.forEachTileCoord(extent, z, ([level, x, y]) => {
      const url = tileUrl(state.glacier.tiles.scenes, scene, level, x, y);
      if (url) new Image().src = url;
    });
  }
}

function showFade() {
  const { amount, side } = state.fade;
  const scene = amount > 0 ? neighbour(side) : null;
  for (const layer of layers.images.getLayers().getArray()) {
    if (layer.getClassName() === "neighbour-image") layer.setVisible(false);
  }
  if (scene && scene.picture !== "gone") {
    const layer = imageLayer(scene, "neighbour-image");
    layer.setZIndex(2);
    layer.setOpacity(amount / 100);
    layer.setVisible(true);
  }
}

/** Return the filter that maps grey values from low to black and from high to white. */
export function stretchFilter() {
  const { low, high } = state.stretch;
  if (low === 0 && high === 255) return "none";
  // The filters of browsers are v·b and (v − ½)·c + ½; together a straight line from low to high.
  const [from, to] = [low / 255, high / 255];
  const contrast = 1 + (2 * from) / (to - from);
  return `brightness(${(1 / (to + from)).toFixed(5)}) contrast(${contrast.toFixed(5)})`;
}

function showStretch() {
  byId("map").style.setProperty("--stretch", stretchFilter());
}

// --- lines -----------------------------------------------------------------------------------

const feature = (geometry, properties) => {
  const { type, coordinates } = geometryOf(linesOf(geometry));
  return new ol.Feature({ geometry: new ol.geom[type](coordinates), ...properties });
};

function filled(layer, features) {
  const source = layer.getSource();
  source.clear(true);
  source.addFeatures(features);
}

function step(date) {
  return rampStep(dayOf(date), span());
}

function showFronts() {
  const { glacier } = state;
  const rejected = new Set(glacier.scenes.filter((scene) => scene.verdict === "rejected").map((scene) => scene.id));
  filled(layers.fronts, glacier.fronts.features.filter((front) => linesOf(front.geometry).length).map((front) => feature(front.geometry, {
    scene: front.properties.scene, step: step(front.properties.date), rejected: rejected.has(front.properties.scene),
  })));
  showCurrent();
}

let editedElsewhere = false; // the editor draws the current front while it is edited

export function hideCurrent(hidden) {
  editedElsewhere = hidden;
  showCurrent();
}

/** Return the lines of a table beside the fronts, single-date fronts or shores, of the scene that is shown. */
function besideFront(table) {
  return state.glacier?.[table].features.filter(({ properties }) => properties.scene === state.scene) ?? [];
}

function showCurrent() {
  const front = state.scene === null ? null : frontOf(state.scene);
  const lines = linesOf(front?.geometry);
  const made = [];
  if (lines.length) {
    const { uncertainty_m: uncertainty, date } = front.properties;
    made.push(feature(front.geometry, { scene: state.scene, step: step(date), uncertainty }));
  }
  filled(layers.current, made);
  filled(layers.band, made.filter((one) => one.get("uncertainty") > 0).map((one) => one.clone()));
  layers.current.setOpacity(editedElsewhere ? 0.35 : 1);
  for (const [layer, table] of [[layers.single, "single_dates"], [layers.shore, "shores"]]) {
    filled(layer, besideFront(table).filter((one) => linesOf(one.geometry).length).map((one) => feature(one.geometry, {})));
  }
  document.body.dataset.front = lines.length ? "yes" : "no";
}

function showWalls() {
  filled(layers.walls, state.walls.map((line) => new ol.Feature(new ol.geom.LineString(line))));
}

function showBoxes() {
  const features = state.curve?.lines?.features ?? [];
  filled(layers.lines, features.map(({ geometry, properties }) => {
    const { type, coordinates } = geometry;
    return new ol.Feature({ geometry: new ol.geom[type](coordinates), kind: properties.kind });
  }));
}

function showBefore() {
  const fronts = [...(state.moved?.fronts.values() ?? [])];
  filled(layers.before, fronts.filter((front) => linesOf(front.geometry).length).map((front) => feature(front.geometry, { scene: front.properties.scene })));
}

function showLayers() {
  const want = state.layers;
  layers.fronts.setVisible(want.fronts);
  layers.band.setVisible(want.band);
  layers.single.setVisible(want.single);
  layers.shore.setVisible(want.shore);
  layers.walls.setVisible(want.walls);
  layers.lines.setVisible(want.lines);
  showImage();
  showZones();
}

function showZones() {
  const scene = current();
  const visible = state.layers.zones && Boolean(scene?.zones) && Boolean(state.glacier.tiles.zones);
  layers.zones.setSource(visible ? tiles(state.glacier.tiles.zones, scene) : null);
  layers.zones.setVisible(visible);
}

function showScene() {
  showImage();
  showFade();
  showZones();
  showCurrent();
}

// --- the mouse -------------------------------------------------------------------------------

let occupied = () => false;

/** Let another tool say when it has the mouse. */
export function occupiedBy(call) {
  occupied = call;
}

function frontAt(pixel) {
  return map.forEachFeatureAtPixel(pixel, (found) => found.get("scene") ?? null, {
    hitTolerance: HIT_PX, layerFilter: (layer) => layer === layers.fronts || layer === layers.before,
  }) ?? null;
}

function hover(event) {
  const [x, y] = event.coordinate;
  const [lon, lat] = ol.proj.toLonLat([x, y], state.glacier?.crs.code);
  byId("place").textContent = `${Math.abs(lat).toFixed(4)}° ${lat < 0 ? "S" : "N"}  ${Math.abs(lon).toFixed(4)}° ${lon < 0 ? "W" : "E"}`;
  if (event.dragging || occupied()) return;
  hovering(frontAt(event.pixel));
}

function hovering(scene) {
  byId("map").classList.toggle("pointed", scene !== null && scene !== state.scene);
  if (scene === state.hovered) return;
  state.hovered = scene;
  changed("hover");
}

let marked = null;
function showHovered() {
  marked?.setStyle(undefined);
  marked = layers.fronts.getSource().getFeatures().find((one) => one.get("scene") === state.hovered) ?? null;
  if (marked && state.hovered !== state.scene) marked.setStyle([stroke("#ffffff", 5), stroke(rampColour(marked.get("step")), 3)]);
}

function pick(event) {
  if (occupied()) return;
  const scene = frontAt(event.pixel);
  if (scene !== null && sceneOf(scene)) {
    state.scene = scene;
    changed("scene");
  }
}

/** Return features of the layers that are shown, with what they are: for files. */
export function shownFeatures() {
  const extent = map.getView().calculateExtent(map.getSize());
  const within = (geometry) => linesOf(geometry).some((line) => ol.extent.intersects(extent, ol.extent.boundingExtent(line)));
  const { glacier, layers: want } = state;
  const fronts = glacier.fronts.features.filter((front) => want.fronts || front.properties.scene === state.scene);
  const single = want.single ? besideFront("single_dates") : [];
  const shore = want.shore ? besideFront("shores") : [];
  return [
    ...fronts.map((front) => ({ ...front, kind: "front" })),
    ...single.map((front) => ({ ...front, kind: "front of the date alone" })),
    ...shore.map((line) => ({ ...line, kind: "shore" })),
  ].filter((front) => within(front.geometry));
}


