// Where data come from: the server of `icefront view`, or the files of an export.

/** The server answered that it does not do what was asked. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `The server refused (${status}).`);
    this.status = status;
    this.body = body ?? {};
  }
}

/** No answer: the server is gone, or was killed while it worked. */
export class Unreachable extends Error {
  constructor() {
    super("The server of icefront does not answer.");
  }
}

const TIMEOUT_MS = 10000;
export const exported = () => globalThis.icefrontExport ?? null;
const token = new URLSearchParams(location.search).get("token") ?? "";

async function ask(path, options) {
  let answer, body;
  try {
    answer = await fetch(`/api/${path}`, {
      ...options,
      headers: { "X-Icefront-Token": token, ...options.headers },
      cache: "no-store",
    });
    body = await answer.json();
  } catch (error) {
    // Also an answer that breaks off: the server was killed while it wrote it.
    if (answer && answer.ok === false && !(error instanceof TypeError)) throw new Refused(answer.status, null);
    throw new Unreachable();
  }
  if (!answer.ok) throw new Refused(answer.status, body);
  return body;
}

/** Return what the server says under a path; without an answer in time it counts as gone. */
export async function load(path, { timeout = 0 } = {}) {
  const file = exported();
  if (!file) return ask(path, timeout ? { signal: AbortSignal.timeout(timeout) } : {});
  if (path === "project") return file.project;
  if (!(path in file.answers)) await appended(`data/glacier-${path.split("/")[1]}.js`);
  if (!(path in file.answers)) throw new Refused(404, { error: `The export lacks ${path}.` });
  return file.answers[path];
}

function appended(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = resolve;
    script.onerror = () => reject(new Refused(404, { error: `The export lacks the file ${source}.` }));
    document.head.append(script);
  });
}

/** Send something to the server and return its answer. */
export function send(path, body) {
  return ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** Tell whether the server answers: the project as it is, or null. */
export function beat() {
  return load("project", { timeout: TIMEOUT_MS });
}

/** Fill in the address of a tile; undefined where there is none. */
export function tileUrl(template, scene, z, x, y) {
  // An export says which tiles it holds.
  if (exported() && scene.tiles && !scene.tiles.includes(`${z}/${x}/${y}`)) return undefined;
  const values = { scene: scene.id, v: scene.v, zv: scene.zv, z, x, y };
  const url = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? ""));
  return exported() ? url : `${url}?token=${encodeURIComponent(token)}`;
}
