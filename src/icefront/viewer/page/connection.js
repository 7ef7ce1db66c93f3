// Whether the server answers, and what other browsers changed meanwhile.

import { byId, dismiss, notice, say } from "./dom.js";
import { beat, exported, Refused, Unreachable } from "./server.js";
import { changed, on, state } from "./state.js";

const EVERY_MS = 5000;
const WHILE_LOST_MS = 1500;
const WHILE_COUNTING_MS = 2000;

let lost = false;
let timer = null;
const waiting = new Set();

/** Return a promise that is kept when the server answers again. */
export function back() {
  const promise = new Promise((resolve) => waiting.add(resolve));
  gone();
  return promise;
}

export const isLost = () => lost;

function gone() {
  if (!lost) {
    lost = true;
    byId("connection").textContent = "Server gone: trying again";
    byId("connection").classList.add("lost");
    notice("gone", "The server does not answer. What you drew is kept in this browser; the page goes on by itself when 'icefront view' runs again at this address.", { warning: true });
    changed("connection");
  }
  again(WHILE_LOST_MS);
}

function again(delay) {
  clearTimeout(timer);
  timer = setTimeout(check, delay);
}

async function check() {
  let delay = EVERY_MS;
  try {
    const project = await beat();
    const old = state.project;
    state.project = project;
    found();
    if (JSON.stringify(old?.glaciers) !== JSON.stringify(project.glaciers)) changed("project");
    if (project.glaciers.some((glacier) => glacier.to_review === null)) delay = WHILE_COUNTING_MS;
  } catch (error) {
    if (error instanceof Unreachable) return gone();
    if (error instanceof Refused && error.status === 403) {
      notice("gone", "The server was started again under a new address: open the one that it printed. Lines that you drew here can be kept as a file first.", { warning: true });
      byId("connection").textContent = "New address needed";
      byId("connection").classList.add("lost");
    }
  }
  again(delay);
}

function found() {
  byId("connection").textContent = exported() ? "" : "Connected";
  byId("connection").classList.remove("lost");
  if (!lost) return;
  lost = false;
  dismiss("gone");
  notice("back", "The server is back.", { seconds: 4 });
  say("The server is back.");
  changed("connection");
  const all = [...waiting];
  waiting.clear();
  for (const resolve of all) resolve();
}

export function start() {
  if (exported()) return;
  byId("connection").textContent = "Connected";
  again(state.project.glaciers.some((glacier) => glacier.to_review === null) ? WHILE_COUNTING_MS : EVERY_MS);
  on("unreachable", gone);
}
