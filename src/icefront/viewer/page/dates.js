// Dates as days since 1970 (UTC), and where an axis of time has its ticks.

const DAY_MS = 86400000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Return the day of a date `YYYY-MM-DD`, NaN if there is none. */
export function dayOf(date) {
  return date ? Date.parse(`${date.slice(0, 10)}T00:00:00Z`) / DAY_MS : NaN;
}

function dayOfMonth(year, month) {
  return Date.UTC(year, month, 1) / DAY_MS;
}

/** Return ticks between two days, about so many: [{day, text}]. */
export function timeTicks(first, last, about) {
  const months = (last - first) / 30.44;
  const step = [1, 2, 3, 6, 12, 24, 60, 120, 240].find((size) => months / size <= about) ?? 480;
  const start = new Date(first * DAY_MS);
  const ticks = [];
  for (let month = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / step) * step; ; month += step) {
    const day = dayOfMonth(Math.floor(month / 12), month % 12);
    if (day > last) return ticks;
    if (day < first) continue;
    const year = Math.floor(month / 12);
    ticks.push({ day, text: step < 12 && month % 12 ? MONTHS[month % 12] : String(year), year: month % 12 === 0 });
  }
}

/** Return round values between two numbers, about so many. */
export function valueTicks(low, high, about) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) ticks.push(Math.round(value / step) * step);
  return ticks;
}

/** Return metres as text, with a true minus. */
export function metres(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return `${value.toFixed(digits).replace("-", "−")} m`;
}
