// The last hour of a station, as the live stream tells it: chart, sentence and table, always from the same minutes.
// The server has written all of it first, by the same rules (pages/last_hour.py).

import { setText } from "./elements.js";

/** @typedef {import("./words.js").Words} Words */

const MINUTE = 60_000;

export class LastHour {
  #words;
  #plot;
  /** @type {any} */
  #spec;
  #text = document.getElementById("minutes-plot-summary");
  #body = /** @type {HTMLTableSectionElement} */ (document.getElementById("minutes-body"));

  /**
   * @param {Words} words
   * @param {import("./plot.js").Plot} plot
   */
  constructor(words, plot) {
    this.#words = words;
    this.#plot = plot;
    this.#spec = JSON.parse(document.querySelector("#minutes-plot .plot-data")?.textContent ?? "{}");
  }

  /** @param {Station} station */
  show(station) {
    setText(this.#text, summary(station, this.#words));
    this.#showRows(station);
    this.#plot.show(this.#specOf(station));
  }

  /** @param {Station} station */
  #specOf({ minutes, directions }) {
    const newest = minutes.length - 1;
    /** @type {[number, number][]} */
    const gaps = [];
    minutes.forEach(({ count }, index) => {
      if (count !== null) return;
      const last = gaps.at(-1);
      if (last && last[1] === index) last[1] = index + 1;
      else gaps.push([index, index + 1]);
    });
    return {
      ...this.#spec,
      x: minutes.map(({ start }) => isoIn(start, this.#spec.zone)),
      series: this.#spec.series.map((/** @type {any} */ series, /** @type {number} */ index) => ({
        ...series,
        values: minutes.map(({ counts }) => counts[directions[index]] ?? null),
      })),
      partial: minutes.flatMap(({ count, state }, index) =>
        count !== null && (index === newest || state !== "measured") ? [index] : [],
      ),
      gaps,
    };
  }

  /** @param {Station} station */
  #showRows(station) {
    const words = this.#words;
    /** @param {number|null} count */
    const write = (count) => (count === null ? words.t("minutes.dash") : words.number(count));
    [...station.minutes].reverse().forEach((minute, index) => {
      const row = this.#body.rows[index];
      if (!row) return;
      const counts = station.directions.map((key) => write(minute.counts[key] ?? null));
      if (counts.length > 1) counts.push(write(minute.count));
      const cells = [...counts, index === 0 ? words.t("state.running") : stateText(minute, words)];
      const time = /** @type {HTMLTimeElement} */ (row.cells[0].firstElementChild);
      const iso = new Date(minute.start).toISOString();
      if (time.dateTime !== iso) time.dateTime = iso;
      setText(time, words.clock(minute.start, station.timezone));
      cells.forEach((text, column) => setText(row.cells[column + 1], text));
    });
  }
}

/**
 * A moment in UTC with the clock that `zone` shows, as far as a chart needs it.
 * @param {number} moment
 * @param {string} zone
 */
function isoIn(moment, zone) {
  let form = FORMS.get(zone);
  if (!form) {
    form = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
    FORMS.set(zone, form);
  }
  const local = form.format(moment).replace(" ", "T");
  const offset = Math.round((Date.parse(`${local}Z`) - moment) / MINUTE);
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return `${local}${offset < 0 ? "-" : "+"}${two(hours)}:${two(minutes)}`;
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const FORMS = new Map();

/**
 * @param {Station} station
 * @param {string} key
 * @param {Words} words
 */
function label({ labels }, key, words) {
  return labels[key] || words.t(`minutes.${key}`);
}

/**
 * The state of a minute in words; a missing one says why.
 * @param {Reading} minute
 * @param {Words} words
 */
function stateText({ state, reason, coverage }, words) {
  if (state === "missing") {
    const why = `state.${reason}`;
    return words.t(why in words.words ? why : "state.missing");
  }
  if (state === "partial") return words.t("state.partial", { coverage: words.percent(coverage ?? 0) });
  const key = `state.${state}`;
  return words.t(key in words.words ? key : "state.measured");
}

/**
 * The hour in a sentence or two.
 * @param {Station} station
 * @param {Words} words
 */
function summary(station, words) {
  const { minutes, directions, timezone } = station;
  const measured = minutes.filter(({ count }) => count !== null);
  if (!measured.length) return words.t("minutes.text_none");
  const missing = minutes.length - measured.length;
  const gaps = missing ? ` ${words.t("minutes.text_gaps", {}, missing)}` : "";
  const count = measured.reduce((sum, minute) => sum + (minute.count ?? 0), 0);
  if (!count) return words.t("minutes.text_quiet") + gaps;
  const peak = minutes.reduce((best, minute) => ((minute.count ?? 0) > (best.count ?? 0) ? minute : best));
  const parts = directions.map((key) => {
    const passages = minutes.reduce((sum, { counts }) => sum + (counts[key] ?? 0), 0);
    return words.t("minutes.part", { count: words.number(passages), label: label(station, key, words) });
  });
  const total = words.t("minutes.text_total", {}, count);
  const told = {
    parts: parts.length > 1 ? `${total} (${parts.join("; ")})` : total,
    peak: words.number(peak.count ?? 0),
    time: words.clock(peak.start, timezone),
  };
  return words.t("minutes.text", told) + gaps;
}
