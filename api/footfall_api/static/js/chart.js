// The chart: an upright stroke for every minute, one direction above the counting line, the other below it.
// What was not measured is a grey band, the minute that is still running is framed. The library is Apache ECharts.

import { label } from "./rules.js";

/** @typedef {NonNullable<NonNullable<import("echarts").MarkAreaComponentOption["data"]>[number]>} MarkArea */

const MINUTE = 60_000;
const LABEL_EVERY_MIN = { wide: 10, narrow: 15 };

export class Chart {
  #boot;
  #chart;
  #element;
  /** @type {Station | null} */
  #station = null;

  /**
   * @param {HTMLElement} element
   * @param {Pick<typeof import("echarts/core"), "init">} library
   * @param {NowBoot} boot
   */
  constructor(element, library, boot) {
    this.#boot = boot;
    this.#element = element;
    this.#chart = library.init(element, null, { renderer: "svg" });
    new ResizeObserver(() => {
      this.#chart.resize();
      this.#draw();
    }).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** @param {Station} station */
  show(station) {
    this.#station = station;
    this.#draw();
  }

  #draw() {
    const station = this.#station;
    if (!station) return;
    this.#chart.setOption(this.#option(station, colours(this.#element)), { notMerge: false, replaceMerge: ["series"] });
  }

  /**
   * @param {Station} station
   * @param {ReturnType<typeof colours>} colour
   * @returns {import("echarts").EChartsOption}
   */
  #option(station, colour) {
    const { words } = this.#boot;
    const { minutes, timezone: zone } = station;
    const [first, last] = [minutes[0].start, minutes[minutes.length - 1].end];
    const narrow = this.#element.clientWidth < 420;
    const every = (narrow ? LABEL_EVERY_MIN.narrow : LABEL_EVERY_MIN.wide) * MINUTE;
    const hours = ticks(every, minutes, (ms) => words.clock(ms, zone));
    const peak = Math.max(4, ...minutes.flatMap(({ counts }) => Object.values(counts).map((count) => count ?? 0)));
    const top = niceTop(peak);
    const both = station.directions.includes("out");
    const text = { color: colour.quiet, fontFamily: colour.font, fontSize: 13 };
    const line = { lineStyle: { color: colour.quiet } };
    return {
      animation: false,
      grid: { left: 8, right: 12, top: 30, bottom: 4, containLabel: true },
      tooltip: {
        trigger: "axis",
        confine: true,
        className: "chart-tip",
        axisPointer: { type: "line", snap: true, lineStyle: { color: colour.ink, type: "solid" } },
        backgroundColor: colour.sheet,
        borderColor: colour.quiet,
        textStyle: { color: colour.ink },
        formatter: (points) => this.#tip((Array.isArray(points) ? points[0] : points)?.dataIndex),
      },
      xAxis: {
        type: "value",
        min: first,
        max: last,
        axisLabel: { ...text, customValues: hours, formatter: (ms) => words.clock(ms, zone), hideOverlap: true },
        axisTick: { ...line, show: true, customValues: hours },
        axisLine: { ...line, onZero: false },
        splitLine: { show: false },
      },
      yAxis: {
        type: "value",
        name: words.t("live.axis"),
        nameTextStyle: { ...text, align: "left", padding: [0, 0, 0, -24] },
        min: both ? -top : 0,
        max: top,
        interval: top / 2,
        axisLabel: { ...text, formatter: (value) => words.number(Math.abs(value)) },
        splitLine: { lineStyle: { color: colour.hair } },
      },
      series: [
        ...station.directions.map((key) => this.#bars(key, minutes, colour)),
        this.#marks(minutes, narrow, colour, text),
      ],
    };
  }

  /**
   * @param {string} key
   * @param {Reading[]} minutes
   * @param {ReturnType<typeof colours>} colour
   * @returns {import("echarts").BarSeriesOption}
   */
  #bars(key, minutes, colour) {
    const sign = key === "out" ? -1 : 1;
    const fill = key === "in" ? colour.in : key === "out" ? colour.out : colour.both;
    return {
      id: key,
      type: "bar",
      stack: "line",
      silent: true,
      barWidth: Math.max(1.5, ((this.#element.clientWidth - 60) / 60) * 0.7),
      data: minutes.map(({ start, counts, state }, index) => {
        const count = counts[key];
        const running = index === minutes.length - 1;
        const thin = state !== "measured" && !running;
        return {
          // A minute without a measurement has no height and lies in a grey band; the tooltip finds it all the same.
          value: [start + MINUTE / 2, sign * (count ?? 0)],
          itemStyle: running && count
            ? { color: colour.sheet, borderColor: fill, borderWidth: 1.5 }
            : { color: fill, opacity: thin ? 0.55 : 1 },
        };
      }),
    };
  }

  /**
   * The counting line itself, the gaps, and the minute that is still running.
   * @param {Reading[]} minutes
   * @param {boolean} narrow
   * @param {ReturnType<typeof colours>} colour
   * @param {object} text
   * @returns {import("echarts").BarSeriesOption}
   */
  #marks(minutes, narrow, colour, text) {
    const { words } = this.#boot;
    const gaps = stretches(minutes).map(([from, to], index, all) => ({
      from,
      to,
      name: widest(all) === index && to - from >= (narrow ? 22 : 14) * MINUTE ? words.t("live.gap") : "",
    }));
    const open = minutes[minutes.length - 1];
    return {
      id: "marks",
      type: "bar",
      silent: true,
      data: [],
      markArea: {
        silent: true,
        data: [
          ...gaps.map(({ from, to, name }) => /** @type {MarkArea} */ ([
            { xAxis: from, name, itemStyle: { color: colour.gap }, label: { ...text, position: "inside" } },
            { xAxis: to },
          ])),
          [
            {
              xAxis: open.start,
              name: words.t("live.open"),
              itemStyle: { color: colour.running },
              label: { ...text, position: "top", align: "right", distance: 6, offset: [4, 0] },
            },
            { xAxis: open.end },
          ],
        ],
      },
    };
  }

  /**
   * The tooltip is made of elements, because the page allows no inline style.
   * @param {number | undefined} index
   */
  #tip(index) {
    const station = this.#station;
    const reading = station?.minutes[index ?? -1];
    if (!station || !reading) return "";
    const { words, directions } = this.#boot;
    const table = document.createElement("table");
    table.createCaption().textContent = words.t("live.clock", { time: words.clock(reading.start, station.timezone) });
    for (const key of station.directions) {
      const row = table.insertRow();
      const head = document.createElement("th");
      head.textContent = label(station, key, directions, words);
      row.append(head);
      const count = reading.counts[key];
      row.insertCell().textContent = count === null ? words.t("live.dash") : words.number(count);
    }
    const box = document.createElement("div");
    box.append(table);
    const running = index === station.minutes.length - 1;
    if (running || reading.count === null) {
      const note = document.createElement("p");
      note.textContent = words.t(running ? "live.open" : "live.gap");
      box.append(note);
    }
    return box;
  }
}

/**
 * Full steps of an hour as the station's clock shows them (a zone may be off by three quarters of an hour).
 * @param {number} every in milliseconds
 * @param {Reading[]} minutes
 * @param {(ms: number) => string} clock
 */
function ticks(every, minutes, clock) {
  const step = every / MINUTE;
  return minutes.map(({ start }) => start).filter((ms) => Number(clock(ms).slice(-2)) % step === 0);
}

/**
 * The next of 4, 10, 20, 40, 100 … so that the axis keeps still while counts move, and its half is a whole number.
 * @param {number} peak
 */
function niceTop(peak) {
  let unit = 1;
  for (;;) {
    for (const step of [4, 6, 10, 20]) if (step * unit >= peak) return step * unit;
    unit *= 10;
  }
}

/**
 * Runs of minutes without a measurement, as [from, to] in milliseconds.
 * @param {Reading[]} minutes
 */
function stretches(minutes) {
  /** @type {[from: number, to: number][]} */
  const found = [];
  for (const { start, end, count } of minutes) {
    if (count !== null) continue;
    const last = found.at(-1);
    if (last && last[1] === start) last[1] = end;
    else found.push([start, end]);
  }
  return found;
}

/** @param {[from: number, to: number][]} all */
function widest(all) {
  return all.reduce((best, [from, to], index) => (to - from > all[best][1] - all[best][0] ? index : best), 0);
}

/** @param {HTMLElement} element */
function colours(element) {
  const style = getComputedStyle(element);
  const of = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: of("ink"), quiet: of("quiet"), hair: of("hair"), sheet: of("sheet"), in: of("in"), out: of("out"),
    both: of("both"), gap: of("gap"), running: of("running"), font: style.fontFamily,
  };
}
