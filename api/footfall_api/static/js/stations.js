// Put new numbers where the server wrote the first ones: the table of stations, the marks on the map.

import { setText } from "./elements.js";
import { recent, ringRadius, spark, statusOf, statusText, today } from "./rules.js";

const STATUSES = ["measured", "quiet", "partial", "silent", "last_day", "never"];

/** @param {Station} station @param {number} at @param {Pick<NowBoot, "rules" | "words">} boot */
export function showStation(station, at, { rules, words }) {
  const status = statusOf(station, at, rules);
  const day = today(station, at, rules);
  const five = recent(station, rules.recentMinutes, at, rules);
  const row = document.querySelector(`.board tr[data-station="${station.id}"]`);
  if (row) {
    setStatus(row, status);
    setText(row.querySelector("[data-status]"), statusText(status, station, at, words));
    setFigure(row.querySelector('[data-figure="today"]'), day, words);
    setFigure(row.querySelector('[data-figure="five"]'), five, words);
    setFigure(row.querySelector('[data-figure="sixty"]'), recent(station, 60, at, rules), words);
    for (const key of station.directions) {
      const count = station.today.counts[key] ?? null;
      setFigure(row.querySelector(`[data-figure="${key}"]`), { count, atLeast: day.atLeast }, words);
    }
    const paths = spark(station.minutes, rules);
    for (const path of svgs(row, "[data-spark]")) path.setAttribute("d", paths[path.dataset.spark ?? ""]);
  }
  const written = {
    name: station.name,
    today: write(day.count, words),
    five: write(five.count, words),
  };
  for (const mark of document.querySelectorAll(`.mark[data-station="${station.id}"], .tile-mark[data-station="${station.id}"]`)) {
    setStatus(mark, status);
    mark.setAttribute("aria-label", words.t("live.mark", written));
    const total = mark.querySelector("[data-total]");
    if (total) setText(total, written.today);
    for (const ring of svgs(mark, ".ring")) ring.setAttribute("r", ringRadius(five.count, ring.dataset));
  }
}

/** @param {Element} parent @param {string} selector @returns {NodeListOf<SVGElement>} */
function svgs(parent, selector) {
  return parent.querySelectorAll(selector);
}

/** @param {number | null} count @param {import("./words.js").Words} words */
function write(count, words) {
  return count === null ? words.t("live.dash") : words.number(count);
}

/** @param {Element} element @param {string} status */
export function setStatus(element, status) {
  for (const name of STATUSES) element.classList.toggle(`is-${name}`, name === status);
}

/**
 * @param {Element | null} element
 * @param {{ count: number | null, atLeast?: boolean }} figure
 * @param {import("./words.js").Words} words
 */
export function setFigure(element, { count, atLeast = false }, words) {
  if (!element) return;
  const before = element.textContent;
  element.classList.toggle("is-missing", count === null);
  if (count === null) {
    if (element.querySelector(".heard")) return;
    const dash = document.createElement("span");
    dash.setAttribute("aria-hidden", "true");
    dash.textContent = words.t("live.dash");
    const heard = document.createElement("span");
    heard.className = "heard";
    heard.textContent = words.t("live.not_measured");
    element.replaceChildren(dash, heard);
    return;
  }
  setText(element, (atLeast ? "≥ " : "") + words.number(count));
  if (element.textContent !== before) flash(element);
}

/**
 * A number that has just changed glows for a moment, where motion is welcome (the style sheet decides).
 * @param {Element} element
 */
function flash(element) {
  element.classList.add("is-new");
  requestAnimationFrame(() => requestAnimationFrame(() => element.classList.remove("is-new")));
}
