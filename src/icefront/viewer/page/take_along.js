// What one takes along: the view as a picture, the fronts as GeoJSON, a link.

import { rampColour, RAMP_STEPS } from "./colours.js";
import { byId, download, notice, say } from "./dom.js";
import * as corrections from "./corrections.js";
import * as editor from "./editor.js";
import { linesOf } from "./geometry.js";
import { map, shownFeatures, stretchFilter } from "./map.js";
import { current, datedScenes, gradeOf, sceneOf, state, title } from "./state.js";

const ol = globalThis.ol;
const BAR_HEIGHT = 34;
const RAMP_ROOM = 270; // pixels that the colours of dates take with their labels
const FONT = "600 13px system-ui, 'Segoe UI', Roboto, Arial, 'DejaVu Sans', sans-serif";

export function start() {
  byId("png").addEventListener("click", savePicture);
  byId("geojson").addEventListener("click", saveFronts);
  byId("link").addEventListener("click", copyLink);
  byId("keep-file").addEventListener("click", keepLine);
  if (location.protocol === "file:") {
    byId("png").disabled = true;
    byId("png").title = "Browsers let no page that was opened from a file save pictures: put the folder on a web server.";
  }
}

function fileName(ending) {
  return `${state.glacier.name || "glacier"}_${title(current())}.${ending}`;
}

/** Return a round length in metres that takes up about so many pixels. */
function roundLength(resolution, pixels) {
  const most = resolution * pixels;
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((factor) => factor * power).find((length) => length <= most);
}

/** Return metres on the ground of a pixel in the middle of the map. */
function groundResolution() {
  const view = map.getView();
  return ol.proj.getPointResolution(view.getProjection(), view.getResolution(), view.getCenter(), "m");
}

function drawMap(context, ratio) {
  for (const canvas of map.getViewport().querySelectorAll(".ol-layers canvas, canvas.ol-layer")) {
    if (!canvas.width) continue;
    const holder = canvas.parentNode;
    context.save();
    context.globalAlpha = Number(holder.style.opacity || canvas.style.opacity || 1);
    const isImage = holder.classList.contains("scene-image") || holder.classList.contains("neighbour-image");
    if (isImage) context.filter = stretchFilter();
    const matrix = canvas.style.transform.match(/^matrix\(([^)]*)\)$/)?.[1].split(",").map(Number) ?? [canvas.clientWidth / canvas.width, 0, 0, canvas.clientHeight / canvas.height, 0, 0];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.transform(...matrix);
    context.drawImage(canvas, 0, 0);
    context.restore();
  }
}

function drawLegend(context, width, height) {
  const scene = current();
  context.fillStyle = "#11161c";
  context.fillRect(0, height, width, BAR_HEIGHT);
  context.font = FONT;
  context.textBaseline = "middle";
  context.fillStyle = "#f2f5f7";
  const middle = height + BAR_HEIGHT / 2;
  const grade = gradeOf(scene?.id);
  const edited = corrections.editedScene() ? ", being edited" : "";
  const what = [state.glacier.name, title(scene), scene?.sensor, grade && `grade ${grade}`].filter(Boolean).join("   ") + edited;
  context.fillText(what, 12, middle);
  const left = 12 + context.measureText(what).width;
  const length = roundLength(groundResolution(), 130);
  const pixels = length / groundResolution();
  const text = length >= 1000 ? `${length / 1000} km` : `${length} m`;
  const right = width - 12;
  context.textAlign = "right";
  context.fillText(text, right - pixels - 8, middle);
  context.lineWidth = 2;
  context.strokeStyle = "#f2f5f7";
  context.beginPath();
  context.moveTo(right - pixels, middle - 5);
  context.lineTo(right - pixels, middle + 3);
  context.lineTo(right, middle + 3);
  context.lineTo(right, middle - 5);
  context.stroke();
  const scenes = datedScenes();
  const free = right - pixels - 8 - context.measureText(text).width - left;
  if (!state.layers.fronts || scenes.length < 2 || free < RAMP_ROOM) return;
  const from = left + free / 2 - 50;
  for (let step = 0; step < RAMP_STEPS; step++) {
    context.fillStyle = rampColour(step);
    context.fillRect(from + (step * 100) / RAMP_STEPS, middle - 4, 100 / RAMP_STEPS + 0.5, 8);
  }
  context.fillStyle = "#f2f5f7";
  context.font = FONT.replace("600 13px", "11px");
  context.fillText(scenes[0].date, from - 6, middle);
  context.textAlign = "left";
  context.fillText(scenes[scenes.length - 1].date, from + 106, middle);
}

async function savePicture() {
  const [width, height] = map.getSize();
  const ratio = globalThis.devicePixelRatio || 1;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round((height + BAR_HEIGHT) * ratio);
  const context = canvas.getContext("2d");
  context.fillStyle = "#11161c";
  context.fillRect(0, 0, canvas.width, canvas.height);
  map.renderSync();
  drawMap(context, ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.textAlign = "left";
  drawLegend(context, width, height);
  try {
    const blob = await new Promise((resolve, reject) => canvas.toBlob((made) => (made ? resolve(made) : reject(new Error())), "image/png"));
    download(fileName("png"), blob);
    say("The picture is saved.");
  } catch {
    notice("png", "This browser did not make the picture.", { warning: true });
  }
}

function toDegrees(line) {
  return line.map((place) => ol.proj.toLonLat(place, state.glacier.crs.code).map((value) => Math.round(value * 1e7) / 1e7));
}

function inDegrees(geometry) {
  const lines = linesOf(geometry).map(toDegrees);
  return lines.length === 1 ? { type: "LineString", coordinates: lines[0] } : { type: "MultiLineString", coordinates: lines };
}

function collection(features) {
  return new Blob([JSON.stringify({ type: "FeatureCollection", features }, null, 1)], { type: "application/geo+json" });
}

/** Save the fronts that are shown, in degrees (RFC 7946). */
function saveFronts() {
  const features = shownFeatures().map(({ kind, properties, geometry }) => {
    const scene = sceneOf(properties.scene);
    const { grade, ...others } = properties;
    return {
      type: "Feature",
      properties: { glacier: state.glacier.name, kind, ...others, scene: scene?.name ?? null, sensor: scene?.sensor ?? null, grade: gradeOf(properties.scene) ?? grade, verdict: scene?.verdict ?? null },
      geometry: inDegrees(geometry),
    };
  });
  download(fileName("geojson"), collection(features));
  say(`${features.length} fronts are saved as GeoJSON.`);
}

/** Keep the line that is drawn as a file that `icefront monitor correct` reads. */
function keepLine() {
  const scene = corrections.editedScene();
  const lines = editor.drawn();
  if (!scene || !lines.length) return;
  const geometry = inDegrees(lines.length === 1 ? { type: "LineString", coordinates: lines[0] } : { type: "MultiLineString", coordinates: lines });
  download(`${state.glacier.name || "glacier"}_${title(scene)}_drawn.geojson`, collection([{ type: "Feature", properties: { glacier: state.glacier.name, date: scene.date }, geometry }]));
  say("The line is saved as a file.");
}

async function copyLink() {
  const text = location.href;
  try {
    await navigator.clipboard.writeText(text);
    notice("link", "The link to this date and place is copied. It opens in this browser while the server runs.", { seconds: 5 });
  } catch {
    notice("link", `This browser copies nothing by itself; the link is in the address bar: ${text}`);
  }
}
