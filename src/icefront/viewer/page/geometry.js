// Plain geometry of lines: arrays of [x, y] in the CRS of the glacier.

export function lengthOf(points) {
  let sum = 0;
  for (let i = 1; i < points.length; i++) sum += Math.hypot(points[i][0] - points[i - 1][0], points[i][1] - points[i - 1][1]);
  return sum;
}

/** Return the nearest place of a segment and how far along it lies, 0 to 1. */
export function nearestOnSegment([x, y], [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay;
  const squared = dx * dx + dy * dy;
  const t = squared ? Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / squared, 0), 1) : 0;
  const place = [ax + t * dx, ay + t * dy];
  return { place, t, distance: Math.hypot(place[0] - x, place[1] - y) };
}

/** Return the nearest place of lines within a reach, or null: {place, distance, line, segment}. */
export function nearestOnLines(point, lines, reach) {
  let best = null;
  let limit = reach;
  lines.forEach((points, line) => {
    for (let i = 1; i < points.length; i++) {
      const [a, b] = [points[i - 1], points[i]];
      if (Math.min(a[0], b[0]) - limit > point[0] || Math.max(a[0], b[0]) + limit < point[0]) continue;
      if (Math.min(a[1], b[1]) - limit > point[1] || Math.max(a[1], b[1]) + limit < point[1]) continue;
      const found = nearestOnSegment(point, a, b);
      if (found.distance <= limit) {
        limit = found.distance;
        best = { place: found.place, distance: found.distance, line, segment: i - 1 };
      }
    }
  });
  return best;
}

/** Return the nearest vertex of lines within a reach, or null: {line, vertex, distance}. */
export function nearestVertex(point, lines, reach) {
  let best = null;
  lines.forEach((points, line) => points.forEach((vertex, index) => {
    const distance = Math.hypot(vertex[0] - point[0], vertex[1] - point[1]);
    if (distance <= (best?.distance ?? reach)) best = { line, vertex: index, distance };
  }));
  return best;
}

/** Leave out vertices that lie within a tolerance of the line without them (Douglas and Peucker 1973). */
export function simplified(points, tolerance) {
  if (points.length < 3) return points.slice();
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const spans = [[0, points.length - 1]];
  while (spans.length) {
    const [first, last] = spans.pop();
    let farthest = -1, worst = tolerance;
    for (let i = first + 1; i < last; i++) {
      const { distance } = nearestOnSegment(points[i], points[first], points[last]);
      if (distance > worst) [farthest, worst] = [i, distance];
    }
    if (farthest > 0) {
      keep[farthest] = 1;
      spans.push([first, farthest], [farthest, last]);
    }
  }
  return points.filter((_, index) => keep[index]);
}

/** Return the lines of a GeoJSON geometry. */
export function linesOf(geometry) {
  if (!geometry) return [];
  if (geometry.type === "LineString") return [geometry.coordinates.map((place) => place.slice(0, 2))];
  if (geometry.type === "MultiLineString") return geometry.coordinates.map((line) => line.map((place) => place.slice(0, 2)));
  if (geometry.type === "GeometryCollection") return geometry.geometries.flatMap(linesOf);
  return [];
}

/** Return lines as a GeoJSON geometry. */
export function geometryOf(lines) {
  return lines.length === 1
    ? { type: "LineString", coordinates: lines[0] }
    : { type: "MultiLineString", coordinates: lines };
}

/** Tell whether two sets of lines are the same to a tolerance, vertex by vertex. */
export function sameLines(first, second, tolerance) {
  return first.length === second.length && first.every((line, number) =>
    line.length === second[number].length && line.every(([x, y], index) =>
      Math.abs(x - second[number][index][0]) <= tolerance && Math.abs(y - second[number][index][1]) <= tolerance));
}
