// Colours of dates and grades. Dates run through the middle of matplotlib's plasma, as in all
// figures: it grows evenly lighter and needs no red and green.

const STOPS = ["#2a0593", "#4e02a2", "#6e00a8", "#8d0ba5", "#a72197", "#bf3984", "#d24f71", "#e3685f", "#f0804e", "#fa9c3c", "#feba2c", "#f9dc24"]
  .map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const STEPS = 64;

function mixed(t) {
  const at = Math.min(Math.max(t, 0), 1) * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[low].map((value, channel) => Math.round(value + (at - low) * (STOPS[low + 1][channel] - value)));
}

const RAMP = Array.from({ length: STEPS }, (_, step) => mixed(step / (STEPS - 1)));

/** Return the step of the ramp, 0 to 63, of a day between the first and the last. */
export function rampStep(day, [first, last]) {
  return last > first ? Math.round(((day - first) / (last - first)) * (STEPS - 1)) : STEPS >> 1;
}

export function rampColour(step, alpha = 1) {
  const [r, g, b] = RAMP[Math.min(Math.max(step, 0), STEPS - 1)];
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

export const RAMP_STEPS = STEPS;
export const HIGHLIGHT = "#ff2e63";

/** Height of the tick of a grade, as a fraction: grades differ in more than colour. */
export const GRADE_HEIGHTS = { A: 0.4, B: 0.55, C: 0.8, D: 1 };
