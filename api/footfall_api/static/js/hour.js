// The last hour of the chosen station: chart, sentence and table, always from the same minutes.

import { byId } from "./elements.js";
import { chartText, label, stateText } from "./rules.js";
import { setText } from "./stations.js";

export class Hour {
  #boot;
  /** @type {import("./chart.js").Chart | null} */
  #chart = null;
  /** @type {Station | null} */
  #station = null;

  /** @param {NowBoot} boot */
  constructor(boot) {
    this.#boot = boot;
    this.plot = byId("plot");
    this.body = byId("minutes-body", HTMLTableSectionElement);
    this.#loadChart();
  }

  /** @param {Station} station */
  show(station) {
    const other = this.#station?.id !== station.id;
    this.#station = station;
    const { words, directions, zones } = this.#boot;
    setText(document.getElementById("chart-text"), chartText(station, directions, words));
    if (other) {
      this.#showKeys(station);
      this.#showHead(station);
      const caption = words.t("chart.caption", { name: station.name, zone: zones[station.id] ?? station.timezone });
      setText(document.getElementById("minutes-caption"), caption);
    }
    this.#showRows(station);
    this.#chart?.show(station);
  }

  async #loadChart() {
    const { words } = this.#boot;
    const note = document.createElement("p");
    note.className = "chart-note";
    note.textContent = words.t("live.loading");
    this.plot.replaceChildren(note);
    try {
      const [{ Chart }, library] = await Promise.all([import("./chart.js"), import(this.#boot.chart)]);
      const box = document.createElement("div");
      box.className = "chart-box";
      this.plot.replaceChildren(box);
      this.#chart = new Chart(box, library, this.#boot);
      if (this.#station) this.#chart.show(this.#station);
    } catch (error) {
      console.warn("no chart:", error);
      note.textContent = words.t("live.failed");
      // What explains the missing chart is said; the empty frame it would be in is not.
      this.plot.removeAttribute("aria-hidden");
      this.plot.classList.add("is-failed");
      byId("minutes", HTMLDetailsElement).open = true;
    }
  }

  /**
   * The arrows are those of the station's row in the table.
   * @param {Station} station
   */
  #showKeys(station) {
    const { words, directions } = this.#boot;
    const arrows = document.querySelectorAll(`.board tr[data-station="${station.id}"] .arrow`);
    const keys = station.directions.map((key, index) => {
      const span = document.createElement("span");
      span.className = "chart-key";
      if (arrows[index]) span.append(arrows[index].cloneNode(true));
      span.append(label(station, key, directions, words));
      return span;
    });
    byId("chart-keys").replaceChildren(...keys);
  }

  /** @param {Station} station */
  #showHead(station) {
    const { words, directions } = this.#boot;
    const head = byId("minutes-head");
    const [minute, state] = [head.firstElementChild ?? "", head.lastElementChild ?? ""];
    const names = station.directions.map((key) => label(station, key, directions, words));
    if (names.length > 1) names.push(words.t("chart.total"));
    const cells = names.map((name) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.className = "is-number";
      cell.textContent = name;
      return cell;
    });
    head.replaceChildren(minute, ...cells, state);
  }

  /** @param {Station} station */
  #showRows(station) {
    const { words } = this.#boot;
    const write = (/** @type {number | null} */ count) => (count === null ? words.t("live.dash") : words.number(count));
    const rows = [...station.minutes].reverse().map((reading, index) => {
      const counts = station.directions.map((key) => write(reading.counts[key]));
      if (counts.length > 1) counts.push(write(reading.count));
      return { reading, cells: [...counts, stateText(reading, index === 0, words)] };
    });
    const columns = rows[0].cells.length + 1;
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach(({ reading, cells }, index) => {
      const row = this.body.rows[index] ?? this.body.insertRow();
      if (row.cells.length !== columns) row.replaceChildren(...emptyCells(columns));
      const time = row.cells[0].querySelector("time");
      if (!time) return;
      const iso = new Date(reading.start).toISOString();
      if (time.dateTime !== iso) time.dateTime = iso;
      setText(time, words.clock(reading.start, station.timezone));
      cells.forEach((text, column) => setText(row.cells[column + 1], text));
    });
  }
}

/** @param {number} columns */
function emptyCells(columns) {
  const head = document.createElement("th");
  head.scope = "row";
  head.append(document.createElement("time"));
  const cells = Array.from({ length: columns - 1 }, (_, index) => {
    const cell = document.createElement("td");
    if (index < columns - 2) cell.className = "is-number";
    return cell;
  });
  return [head, ...cells];
}
