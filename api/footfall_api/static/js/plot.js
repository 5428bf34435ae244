// Draws every chart of a page from its data block: bars, lines, heat maps. The data are made by pages/plot.py.
//
// What was not measured is a grey band and never a zero; what was measured in part is lighter and framed; remarks are
// numbered brackets at the upper edge. Every chart stands beside a table of its numbers, so it is hidden from screen
// readers, and where it cannot be drawn the table is opened. The library is Apache ECharts.

/**
 * @typedef {{ low: (number|null)[], high: (number|null)[] }} Band
 * @typedef {{ name: string, colour: string, values: (number|null)[], mirror?: boolean, band?: Band|null }} Series
 * @typedef {{ from: number, to: number, kind: string, text: string }} Mark
 * @typedef {{
 *   kind: "bars"|"lines"|"heat", title: string, source: string, unit: string, zone: string, xkind: "time"|"label",
 *   resolution: string, x: string[], y?: string[], series: Series[], partial?: number[], gaps?: [number, number][],
 *   remarks?: Mark[], words: Record<string, string>, file?: string, digits?: number, top?: number
 * }} Spec
 * @typedef {{ static: string, locale: string }} Boot
 * @typedef {{ year: number, month: number, day: number, hour: number, minute: number }} Local
 * @typedef {Record<string, string>} Colours
 */

// Above so many marks a canvas is quicker than one element for each of them.
const MANY_MARKS = 2000;
// So many intervals are too many to point at one: a slider below the chart shows a part of them.
const ZOOM_ABOVE = 200;
const MANY_GAPS = 150;
const SIZE = 13;
const SVG = "http://www.w3.org/2000/svg";
const MINUTES = { "1min": 1, "5min": 5, "15min": 15, "30min": 30, "1h": 60 };
const DASHES = { out: [7, 4], b: [7, 4], c: [2, 3], quiet: [4, 3] };

/** @type {Promise<any>|null} */
let library = null;

/**
 * Draw every chart of the page, or of a part of it. A page's script calls this once for what it has.
 * @param {Boot} boot
 * @param {ParentNode} [root]
 * @returns {Promise<Plot[]>}
 */
export async function drawAll(boot, root = document) {
  const figures = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("figure.plot")]);
  return Promise.all(
    figures.map(async (figure) => {
      const block = figure.querySelector("script.plot-data");
      const plot = new Plot(figure, boot);
      await plot.show(JSON.parse(block?.textContent ?? "{}"));
      return plot;
    }),
  );
}

/** One chart in its figure. */
export class Plot {
  #boot;
  #figure;
  /** @type {HTMLElement} */
  #box;
  /** @type {any} */
  #library = null;
  /** @type {any} */
  #chart = null;
  #renderer = "";
  /** @type {Spec|null} */
  #spec = null;
  /** @type {[number, number]|null} what is looked at, as shares of 100; null: all of it */
  #range = null;
  #width = 0;
  #failed = false;
  #keys = document.createElement("p");

  /**
   * @param {HTMLElement} figure
   * @param {Boot} boot
   */
  constructor(figure, boot) {
    this.#boot = boot;
    this.#figure = figure;
    this.#box = /** @type {HTMLElement} */ (figure.querySelector(".plot-box"));
    this.#box.setAttribute("aria-hidden", "true");
    new ResizeObserver(() => {
      if (this.#box.clientWidth !== this.#width) this.#draw();
    }).observe(this.#box);
    for (const query of ["(prefers-color-scheme: dark)", "print"]) {
      matchMedia(query).addEventListener("change", () => this.#draw());
    }
  }

  /** The name of the chart. */
  get id() {
    return this.#box.dataset.plot ?? "";
  }

  /**
   * Show these numbers; the first time the library is fetched for it.
   * @param {Spec} spec
   */
  async show(spec) {
    const first = this.#spec === null;
    this.#spec = spec;
    if (this.#failed) return;
    try {
      library ??= import(`${this.#boot.static}/vendor/chart.js`);
      const loaded = await library;
      const began = performance.now();
      this.#library = loaded;
      this.#showKeys();
      this.#draw();
      if (first) {
        this.#listen();
        this.#addPictures();
        performance.measure(`plot:${this.#box.dataset.plot}`, { start: began, end: performance.now() });
        this.#box.dataset.drawn = this.#renderer;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    console.warn("no chart:", error);
    this.#failed = true;
    const note = document.createElement("p");
    note.className = "plot-note";
    note.textContent = this.#spec?.words.failed ?? "";
    this.#box.replaceChildren(note);
    this.#box.classList.add("is-failed");
    this.#box.removeAttribute("aria-hidden");
    const table = this.#figure.querySelector("details");
    if (table) table.open = true;
  }

  #draw() {
    const spec = this.#spec;
    if (!spec || !this.#library || this.#failed) return;
    this.#width = this.#box.clientWidth;
    if (!this.#width) return;
    const renderer = marks(spec) > MANY_MARKS ? "canvas" : "svg";
    if (renderer !== this.#renderer) {
      this.#chart?.dispose();
      const ground = document.createElement("div");
      ground.className = "plot-ground";
      this.#box.replaceChildren(ground);
      this.#chart = this.#library.init(ground, null, { renderer });
      this.#renderer = renderer;
      this.#chart.on("datazoom", () => this.#zoomed());
    }
    this.#chart.resize();
    this.#chart.setOption(this.#option(), { notMerge: true });
    this.#chart.getZr().flush();
  }

  #option() {
    const spec = /** @type {Spec} */ (this.#spec);
    return option(spec, {
      colours: coloursOf(this.#box),
      width: this.#width,
      locale: this.#boot.locale,
      range: this.#range,
      zoom: spec.kind !== "heat" && spec.xkind === "time" && spec.x.length > ZOOM_ABOVE,
    });
  }

  // The labels below the axis are chosen for what is looked at.
  #zoomed() {
    const spec = /** @type {Spec} */ (this.#spec);
    const { start, end } = this.#chart.getOption().dataZoom[0];
    this.#range = start <= 0 && end >= 100 ? null : [start, end];
    const { xAxis } = /** @type {any} */ (this.#option());
    this.#chart.setOption({ xAxis });
    const [from, to] = visible(spec, this.#range);
    this.#figure.dispatchEvent(
      new CustomEvent("plotzoom", { detail: this.#range && { from: spec.x[from], to: spec.x[to] ?? null } }),
    );
  }

  // What a pointer is over, told beside it.
  #listen() {
    const tip = document.createElement("div");
    tip.className = "plot-tip";
    const hair = document.createElement("div");
    hair.className = "plot-hair";
    const hide = () => {
      tip.remove();
      hair.remove();
    };
    /** @param {PointerEvent} event */
    const look = (event) => {
      const spec = /** @type {Spec} */ (this.#spec);
      const frame = this.#box.getBoundingClientRect();
      const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
      if (!this.#chart.containPixel({ gridIndex: 0 }, [x, y])) return hide();
      const at = this.#chart.convertFromPixel({ gridIndex: 0 }, [x, y]);
      const content = spec.kind === "heat" ? heatTip(spec, at, this.#boot) : tipOf(spec, Math.floor(at[0]), this.#boot);
      if (!content) return hide();
      tip.replaceChildren(...content);
      this.#box.append(tip);
      const left = x > this.#width / 2 ? x - tip.offsetWidth - 14 : x + 14;
      tip.style.left = `${Math.min(Math.max(0, left), Math.max(0, this.#width - tip.offsetWidth))}px`;
      tip.style.top = `${Math.max(0, Math.min(y - 12, frame.height - tip.offsetHeight))}px`;
      if (spec.kind === "heat") return;
      const middle = this.#chart.convertToPixel({ xAxisIndex: 0 }, Math.floor(at[0]) + 0.5);
      hair.style.left = `${middle}px`;
      this.#box.append(hair);
    };
    this.#box.addEventListener("pointermove", look);
    this.#box.addEventListener("pointerdown", look);
    this.#box.addEventListener("pointerleave", hide);
  }

  #showKeys() {
    const wanted = keysOf(/** @type {Spec} */ (this.#spec));
    const said = JSON.stringify(wanted);
    if (this.#keys.dataset.said === said) return;
    this.#keys.dataset.said = said;
    this.#keys.className = "plot-keys";
    this.#keys.setAttribute("aria-hidden", "true");
    const keys = wanted.map(({ kind, colour, text }) => {
      const key = document.createElement("span");
      key.className = "plot-key";
      key.append(swatch(kind, colour), text);
      return key;
    });
    this.#keys.replaceChildren(...keys);
    this.#box.before(this.#keys);
  }

  #addPictures() {
    const spec = /** @type {Spec} */ (this.#spec);
    if (!spec.words.png || !spec.words.svg) return;
    let place = this.#figure.querySelector(".plot-pictures");
    if (!place) {
      place = document.createElement("p");
      place.className = "plot-pictures";
      this.#box.after(place);
    }
    for (const format of ["png", "svg"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.picture = format;
      button.textContent = spec.words[format];
      button.addEventListener("click", () => this.#save(format));
      place.append(button);
    }
  }

  /** @param {string} format */
  async #save(format) {
    const spec = /** @type {Spec} */ (this.#spec);
    const svg = picture(spec, this.#library, this.#boot, this.#range);
    const drawn = new Blob([svg.text], { type: "image/svg+xml" });
    const blob = format === "svg" ? drawn : await rastered(drawn, svg.width, svg.height);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${spec.file ?? "footfall"}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

/**
 * How many things would be drawn one by one.
 * @param {Spec} spec
 */
function marks(spec) {
  return spec.x.length * spec.series.length * Math.max(1, spec.kind === "heat" ? (spec.y ?? []).length : 1);
}

/**
 * The first interval that is looked at, and the one behind the last.
 * @param {Spec} spec
 * @param {[number, number]|null} range
 * @returns {[number, number]}
 */
function visible(spec, range) {
  const count = spec.x.length;
  if (!range) return [0, count];
  const from = Math.max(0, Math.floor((range[0] / 100) * count + 1e-6));
  return [from, Math.min(count, Math.max(from + 1, Math.ceil((range[1] / 100) * count - 1e-6)))];
}

/**
 * What the library is told to draw.
 * @param {Spec} spec
 * @param {{ colours: Colours, width: number, locale: string, range: [number, number]|null, zoom: boolean }} view
 */
function option(spec, view) {
  return spec.kind === "heat" ? heatOption(spec, view) : timeOption(spec, view);
}

/**
 * @param {Spec} spec
 * @param {{ colours: Colours, width: number, locale: string, range: [number, number]|null, zoom: boolean }} view
 */
function timeOption(spec, { colours, width, locale, range, zoom }) {
  const text = { color: colours.quiet, fontFamily: colours.font, fontSize: SIZE };
  const line = { lineStyle: { color: colours.quiet } };
  const numbers = new Intl.NumberFormat(locale);
  const mirrored = spec.series.some(({ mirror }) => mirror);
  const scale = scaleOf(spec);
  const lanes = lanesOf(spec.remarks ?? []);
  const height = Math.max(0, ...lanes.map((lane) => lane + 1)) * 18;
  const ticks = ticksOf(spec, visible(spec, range), width - 70, locale);
  const zooming = range ? { start: range[0], end: range[1] } : { start: 0, end: 100 };
  return {
    animation: false,
    grid: { left: 8, right: 14, top: 34 + height, bottom: zoom ? 44 : 6, containLabel: true },
    dataZoom: zoom
      ? [
          {
            type: "slider", ...zooming, filterMode: "none", height: 22, bottom: 6, left: 54, right: 14,
            showDataShadow: false, showDetail: false, brushSelect: false, borderColor: colours.hair,
            backgroundColor: colours.sheet, fillerColor: colours.running, dataBackground: {},
            handleStyle: { color: colours.sheet, borderColor: colours.ink },
            moveHandleStyle: { color: colours.quiet }, emphasis: { moveHandleStyle: { color: colours.ink } },
          },
          {
            type: "inside", ...zooming, filterMode: "none",
            zoomOnMouseWheel: "ctrl", moveOnMouseMove: false, moveOnMouseWheel: false,
          },
        ]
      : [],
    xAxis: {
      type: "value",
      min: 0,
      max: spec.x.length,
      axisLabel: {
        ...text,
        lineHeight: 16,
        customValues: ticks.map(({ label }) => label),
        formatter: (/** @type {number} */ value) =>
          ticks.find(({ label }) => Math.abs(label - value) < 1e-6)?.text ?? "",
        hideOverlap: true,
      },
      axisTick: { ...line, show: true, customValues: ticks.map(({ at }) => at) },
      axisLine: { ...line, onZero: false },
      splitLine: { show: false },
    },
    yAxis: {
      type: "value",
      name: spec.unit,
      nameTextStyle: { ...text, align: "left", padding: [0, 0, height, -24] },
      min: scale.min,
      max: scale.max,
      interval: scale.step,
      axisLabel: {
        ...text,
        formatter: (/** @type {number} */ value) => numbers.format(mirrored ? Math.abs(value) : value),
      },
      splitLine: { lineStyle: { color: colours.hair } },
    },
    series: [
      ...spec.series.flatMap((series) => (spec.kind === "bars" ? bars(series, spec, colours) : lines(series, spec, colours))),
      frame(spec, lanes, width, colours, text),
    ],
  };
}

/**
 * @param {Series} series
 * @param {Spec} spec
 * @param {Colours} colours
 * @returns {any[]}
 */
function bars(series, spec, colours) {
  const fill = colourOf(series.colour, colours);
  const sign = series.mirror ? -1 : 1;
  const many = marks(spec) > MANY_MARKS;
  const partial = new Set(spec.partial ?? []);
  const shared = spec.series.length === 1 || spec.series.some(({ mirror }) => mirror);
  const base = {
    type: "bar",
    silent: true,
    large: many,
    largeThreshold: 400,
    progressive: 0,
    barGap: shared ? "-100%" : "8%",
    barCategoryGap: spec.x.length > 120 ? "0%" : "24%",
    barMaxWidth: 72,
  };
  /** @param {number} index */
  const point = (index) => {
    const value = series.values[index];
    return [index + 0.5, value === null ? null : sign * value];
  };
  if (many) {
    /** @type {[(number|null)[][], (number|null)[][]]} */
    const parts = [[], []];
    series.values.forEach((value, index) => value && parts[partial.has(index) ? 1 : 0].push(point(index)));
    return parts.map((data, part) => ({ ...base, data, itemStyle: { color: fill, opacity: part ? 0.5 : 1 } }));
  }
  const framed = { color: faded(fill, colours.sheet), borderColor: fill, borderWidth: 1, borderType: "dashed" };
  const data = series.values.map((value, index) => ({
    value: point(index),
    itemStyle: value && partial.has(index) ? framed : { color: fill },
  }));
  return [{ ...base, data }];
}

/**
 * @param {Series} series
 * @param {Spec} spec
 * @param {Colours} colours
 * @returns {any[]}
 */
function lines(series, spec, colours) {
  const colour = colourOf(series.colour, colours);
  const sign = series.mirror ? -1 : 1;
  const { values } = series;
  const partial = new Set(spec.partial ?? []);
  const sparse = values.length <= 40;
  /** @param {number} index */
  const alone = (index) => (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
  const base = { type: "line", silent: true, progressive: 0, symbol: "none", connectNulls: false };
  const all = [];
  if (series.band) {
    const { low, high } = series.band;
    const none = { lineStyle: { opacity: 0 }, stack: `band ${series.name}` };
    const span = high.map((top, i) => (top === null || low[i] === null ? null : top - /** @type {number} */ (low[i])));
    all.push({ ...base, ...none, data: low.map((value, i) => [i + 0.5, value]) });
    all.push({ ...base, ...none, areaStyle: { color: colour, opacity: 0.18 }, data: span.map((value, i) => [i + 0.5, value]) });
  }
  all.push({
    ...base,
    data: values.map((value, index) => [index + 0.5, value === null ? null : sign * value]),
    lineStyle: {
      color: colour,
      width: values.length > 800 ? 1 : 2.25,
      type: /** @type {any} */ (values.length > 800 ? null : DASHES)?.[series.colour] ?? "solid",
    },
  });
  // A line needs two points: what stands alone between gaps is a dot, what was measured in part a ring.
  const dots = values.flatMap((value, index) => {
    if (value === null) return [];
    const ring = partial.has(index) && partial.size <= 400;
    if (!ring && !sparse && !alone(index)) return [];
    return [{
      value: [index + 0.5, sign * value],
      itemStyle: ring ? { color: colours.sheet, borderColor: colour, borderWidth: 2 } : { color: colour },
    }];
  });
  if (dots.length) {
    all.push({ ...base, symbol: "circle", symbolSize: 6, showAllSymbol: true, lineStyle: { opacity: 0 }, data: dots, z: 3 });
  }
  return all;
}

/**
 * Gaps, remarks and what else lies behind or above the numbers.
 * @param {Spec} spec
 * @param {number[]} lanes
 * @param {number} width
 * @param {Colours} colours
 * @param {Record<string, any>} text
 */
function frame(spec, lanes, width, colours, text) {
  const unit = (width - 70) / Math.max(1, spec.x.length);
  const gaps = joined(spec.gaps ?? [], unit);
  const widest = gaps.reduce((best, gap) => (gap[1] - gap[0] > best[1] - best[0] ? gap : best), gaps[0] ?? [0, 0]);
  const room = spec.words.gap ? spec.words.gap.length * 7.5 + 10 : Infinity;
  const areas = gaps.map((gap) => [
    {
      xAxis: gap[0],
      name: gap === widest && (gap[1] - gap[0]) * unit >= room ? spec.words.gap : "",
      itemStyle: { color: colours.gap },
      label: { ...text, position: "insideTop" },
    },
    { xAxis: gap[1] },
  ]);
  (spec.remarks ?? []).forEach((mark, index) => {
    const top = 26 + 18 * (1 + Math.max(...lanes) - lanes[index]);
    const label = { ...text, color: colours.ink, fontWeight: 700, position: "top", distance: 2 };
    areas.push(/** @type {any} */ ([
      { xAxis: mark.from, y: top, name: String(index + 1), itemStyle: { color: colours.glow }, label },
      { xAxis: Math.max(mark.to, mark.from + 3 / unit), y: top + 4 },
    ]));
  });
  return {
    id: "frame", type: "line", silent: true, data: [], markArea: { silent: true, data: areas },
  };
}

/**
 * Gaps as they can be drawn: where there are very many, those that lie less than half a pixel apart are one.
 * @param {[number, number][]} gaps
 * @param {number} unit
 */
function joined(gaps, unit) {
  if (gaps.length <= MANY_GAPS) return gaps;
  /** @type {[number, number][]} */
  const found = [];
  for (const [from, to] of gaps) {
    const last = found.at(-1);
    if (last && (from - last[1]) * unit < 0.5) last[1] = to;
    else found.push([from, to]);
  }
  return found;
}

/**
 * @param {Spec} spec
 * @param {{ colours: Colours, width: number, locale: string }} view
 */
function heatOption(spec, { colours, width, locale }) {
  const text = { color: colours.quiet, fontFamily: colours.font, fontSize: SIZE };
  const rows = spec.y ?? [];
  const values = spec.series[0].values;
  const top = Math.max(1, ...values.map((value) => value ?? 0));
  const every = Math.ceil((spec.x.length * 34) / Math.max(1, width - 90));
  const axis = { axisLine: { show: false }, axisTick: { show: false }, splitLine: { show: false } };
  return {
    animation: false,
    grid: { left: 8, right: 10, top: 8, bottom: 6, containLabel: true },
    visualMap: {
      type: "continuous", show: false, min: 0, max: top, dimension: 2,
      inRange: { color: heatColours(colours) },
      outOfRange: { color: colours.ground },
    },
    xAxis: { type: "category", data: spec.x, ...axis, axisLabel: { ...text, interval: every - 1, hideOverlap: true } },
    yAxis: { type: "category", data: rows, inverse: true, ...axis, axisLabel: { ...text, interval: 0 } },
    series: [{
      type: "heatmap",
      silent: true,
      progressive: 0,
      itemStyle: { borderColor: colours.sheet, borderWidth: 1 },
      label: {
        show: true, color: colours.quiet, fontFamily: colours.font, fontSize: 12,
        formatter: (/** @type {any} */ { value }) => (value[2] < 0 ? (spec.words.none ?? "") : ""),
      },
      // Below the scale: no number.
      data: values.map((value, index) => [index % spec.x.length, Math.floor(index / spec.x.length), value ?? -1]),
    }],
    locale,
  };
}

/** @param {Colours} colours */
function heatColours(colours) {
  return [0.06, 0.3, 0.55, 0.8, 1].map((share) => mixed(colours.sheet, colours.in, share));
}

// ---------------------------------------------------------------------------------------------- scales and their words

/**
 * An axis of three to five full steps.
 * @param {Spec} spec
 */
function scaleOf(spec) {
  let [low, high] = [0, spec.top ?? 0];
  let whole = true;
  for (const { values, mirror, band } of spec.series) {
    for (const list of [values, ...(band ? [band.low, band.high] : [])]) {
      for (const value of list) {
        if (value === null) continue;
        const signed = mirror ? -value : value;
        if (signed > high) high = signed;
        if (signed < low) low = signed;
        whole &&= Number.isInteger(value);
      }
    }
  }
  if (spec.series.some(({ mirror }) => mirror)) {
    high = Math.max(high, -low);
    low = -high;
  }
  const rough = (high - low) / (low < 0 ? 6 : 4) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  if (whole) step = Math.max(1, step);
  return { min: Math.floor(low / step) * step, max: Math.max(step, Math.ceil(high / step) * step), step };
}

/**
 * Where remarks that overlap have their brackets: the lowest lane that is free.
 * @param {Mark[]} remarks
 */
function lanesOf(remarks) {
  /** @type {number[]} */
  const ends = [];
  return remarks.map(({ from, to }) => {
    let lane = ends.findIndex((end) => end <= from);
    if (lane < 0) lane = ends.length;
    ends[lane] = to;
    return lane;
  });
}

/**
 * Local date and time as the text of a moment says them.
 * @param {string} iso
 * @returns {Local}
 */
function local(iso) {
  // By place and not by pattern: a year by the hour has thousands of them.
  return {
    year: Number(iso.slice(0, 4)), month: Number(iso.slice(5, 7)), day: Number(iso.slice(8, 10)),
    hour: Number(iso.slice(11, 13)), minute: Number(iso.slice(14, 16)),
  };
}

/** @param {Local} at */
function dayNumber({ year, month, day }) {
  return Math.floor(Date.UTC(year, month - 1, day) / 86_400_000);
}

// So much room a day's words want that begin with the weekday.
const WITH_WEEKDAY = 88;

const STEPS = [
  ...[1, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((step) => ({
    name: "clock", length: step, room: 58,
    key: (/** @type {Local} */ at) => (dayNumber(at) * 1440 + at.hour * 60 + at.minute) / step,
  })),
  { name: "day", length: 1440, room: 58, key: (/** @type {Local} */ at) => dayNumber(at) + at.hour / 24 },
  { name: "day", length: 2880, room: 58, key: (/** @type {Local} */ at) => (dayNumber(at) + at.hour / 24) / 2 },
  // 1 January 1970 was a Thursday; weeks begin on Monday.
  { name: "week", length: 10080, room: 64, key: (/** @type {Local} */ at) => (dayNumber(at) + 3 + at.hour / 24) / 7 },
  { name: "week", length: 20160, room: 64, key: (/** @type {Local} */ at) => (dayNumber(at) + 3 + at.hour / 24) / 14 },
  ...[1, 3, 6].map((step) => ({
    name: "month", length: step * 43_200, room: 46,
    key: (/** @type {Local} */ at) => (at.year * 12 + at.month - 1 + (at.day - 1) / 31 + at.hour / 800) / step,
  })),
  ...[1, 2, 5, 10].map((step) => ({
    name: "year", length: step * 525_600, room: 50,
    key: (/** @type {Local} */ at) => (at.year + (at.month - 1) / 12 + (at.day - 1) / 400 + at.hour / 10_000) / step,
  })),
];

/**
 * The ticks of the axis and where their words stand: under the interval that they name, else under its beginning.
 * @param {Spec} spec
 * @param {[number, number]} range
 * @param {number} width in pixels
 * @param {string} locale
 * @returns {{ at: number, label: number, text: string }[]}
 */
function ticksOf(spec, [from, to], width, locale) {
  if (spec.xkind === "label") {
    const longest = Math.max(...spec.x.map((text) => Math.max(...text.split("\n").map((part) => part.length))));
    const every = Math.max(1, Math.ceil(((to - from) * (longest * 7.6 + 8)) / width));
    return spec.x.flatMap((text, index) => (index % every ? [] : [{ at: index, label: index + 0.5, text }]));
  }
  const own = { "1d": 1440, "1w": 10080, "1mo": 43_200, "1y": 525_600 }[spec.resolution];
  const moments = spec.x.slice(from, to).map(local);
  const shown = locale.startsWith("de") ? "de" : locale;
  const day = new Intl.DateTimeFormat(shown, { day: "numeric", month: "short", timeZone: "UTC" });
  const weekday = new Intl.DateTimeFormat(shown, { weekday: "short", day: "numeric", month: "numeric", timeZone: "UTC" });
  const name = new Intl.DateTimeFormat(shown, { weekday: "short", timeZone: "UTC" });
  const month = new Intl.DateTimeFormat(shown, { month: "short", timeZone: "UTC" });
  /** @type {number[]} */
  let found = [];
  let step = STEPS[0];
  let pitch = width;
  const minutes = moments.length > 1 ? (Date.parse(spec.x[to - 1]) - Date.parse(spec.x[from])) / 60_000 : 0;
  for (step of STEPS) {
    if (own && step.length < own) continue;
    // From one step to the next, in pixels.
    pitch = minutes ? (width * step.length * (1 - 1 / moments.length)) / minutes : width;
    // Far too many to look for each of them.
    if (pitch < step.room / 4) continue;
    found = boundaries(moments, step.key);
    if (step.length === 1440 && own === 1440 && found.length <= 14 && found.length * 30 <= width) break;
    if (pitch >= step.room || (found.length <= 2 && width < 160)) break;
  }
  return found.map((index, order) => {
    const at = moments[index];
    const date = new Date(Date.UTC(at.year, at.month - 1, at.day));
    let text = `${String(at.hour).padStart(2, "0")}:${String(at.minute).padStart(2, "0")}`;
    if (step.name === "year") text = String(at.year);
    else if (step.name === "month") text = month.format(date) + (order === 0 || at.month <= step.length / 43_200 ? `\n${at.year}` : "");
    else if (step.name === "day" && pitch < step.room) text = name.format(date).slice(0, pitch < 36 ? 2 : 3);
    else if (step.name === "day" && pitch >= WITH_WEEKDAY) text = weekday.format(date);
    else if (step.name !== "clock" || (at.hour === 0 && at.minute === 0)) text = day.format(date);
    const centred = own !== undefined && step.length === own;
    return { at: from + index, label: from + index + (centred ? 0.5 : 0), text };
  });
}

/**
 * Indexes at which a new step begins.
 * @param {Local[]} moments
 * @param {(at: Local) => number} key
 */
function boundaries(moments, key) {
  const found = [];
  let before = null;
  for (let index = 0; index < moments.length; index += 1) {
    const at = key(moments[index]);
    const now = Math.floor(at + 1e-9);
    if (before === null ? Math.abs(at - now) < 1e-6 : now !== before) found.push(index);
    before = now;
  }
  return found;
}

/**
 * An interval in words: 14:00–15:00 of a day, a day, a month.
 * @param {Spec} spec
 * @param {number} index
 * @param {string} locale
 */
function intervalText(spec, index, locale) {
  const iso = spec.x[index];
  if (spec.xkind === "label") return iso.replace("\n", " ");
  const at = local(iso);
  const date = new Date(Date.UTC(at.year, at.month - 1, at.day));
  /** @param {Intl.DateTimeFormatOptions} form */
  const write = (form) => new Intl.DateTimeFormat(locale, { ...form, timeZone: "UTC" }).format(date);
  if (spec.resolution === "1y") return String(at.year);
  if (spec.resolution === "1mo") return write({ month: "long", year: "numeric" });
  const day = write({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
  if (spec.resolution === "1w") return (spec.words.week ?? "{date}").replace("{date}", day);
  const minutes = /** @type {Record<string, number>} */ (MINUTES)[spec.resolution];
  if (!minutes) return day;
  /** @param {number} minute of the day */
  const clock = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
  const began = at.hour * 60 + at.minute;
  const start = Date.parse(iso);
  const zone = new Intl.DateTimeFormat(locale, { timeZone: spec.zone, timeZoneName: "short" })
    .formatToParts(start).find(({ type }) => type === "timeZoneName")?.value;
  return `${day}, ${clock(began)}–${clock(began + minutes)} ${zone ?? ""}`;
}

/**
 * @param {Spec} spec
 * @param {number} index
 * @param {Boot} boot
 */
function tipOf(spec, index, { locale }) {
  if (index < 0 || index >= spec.x.length) return null;
  const numbers = numbersOf(spec, locale);
  const rows = spec.series.map(({ name, values }) => {
    const value = values[index] ?? null;
    return [name, value === null ? (spec.words.none ?? "–") : numbers.format(value)];
  });
  const notes = [];
  if (spec.series.every(({ values }) => (values[index] ?? null) === null)) notes.push(spec.words.gap);
  if ((spec.partial ?? []).includes(index)) notes.push(spec.words.partial);
  for (const { from, to, text } of spec.remarks ?? []) if (from <= index && index < to) notes.push(text);
  return tipContent(intervalText(spec, index, locale), rows, notes);
}

/**
 * @param {Spec} spec
 * @param {number[]} at
 * @param {Boot} boot
 */
function heatTip(spec, [column, row], { locale }) {
  const value = spec.series[0].values[row * spec.x.length + column] ?? null;
  const head = `${(spec.y ?? [])[row] ?? ""} ${spec.x[column] ?? ""}`;
  const text = value === null ? (spec.words.none ?? "–") : numbersOf(spec, locale).format(value);
  return tipContent(head, [[spec.series[0].name, text]], value === null ? [spec.words.few] : []);
}

/**
 * @param {string} head
 * @param {string[][]} rows
 * @param {(string|undefined)[]} notes
 */
function tipContent(head, rows, notes) {
  const table = document.createElement("table");
  table.createCaption().textContent = head;
  for (const [name, value] of rows) {
    const row = table.insertRow();
    const th = document.createElement("th");
    th.textContent = name;
    row.append(th);
    row.insertCell().textContent = value;
  }
  return [
    table,
    ...notes.filter(Boolean).map((note) => {
      const line = document.createElement("p");
      line.textContent = note ?? "";
      return line;
    }),
  ];
}

/**
 * @param {Spec} spec
 * @param {string} locale
 */
function numbersOf(spec, locale) {
  const digits = spec.digits ?? 0;
  return new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// --------------------------------------------------------------------------------------------------- keys and colours

/**
 * What the chart's colours and forms mean.
 * @param {Spec} spec
 * @returns {{ kind: string, colour: string, text: string }[]}
 */
function keysOf(spec) {
  const { words } = spec;
  if (spec.kind === "heat") {
    const values = spec.series[0].values;
    return [
      { kind: "heat-1", colour: "in", text: words.less ?? "" },
      { kind: "heat-5", colour: "in", text: words.more ?? "" },
      ...(values.includes(null) && words.few ? [{ kind: "none", colour: "quiet", text: words.few }] : []),
    ];
  }
  const form = spec.kind === "bars" ? "bar" : "line";
  const keys = spec.series.map(({ name, colour, mirror }) => ({ kind: mirror ? "bar-down" : form, colour, text: name }));
  if (spec.partial?.length && words.partial) keys.push({ kind: "partial", colour: spec.series[0]?.colour ?? "in", text: words.partial });
  if (spec.gaps?.length && words.gap) keys.push({ kind: "gap", colour: "quiet", text: words.gap });
  return keys;
}

/**
 * @param {string} kind
 * @param {string} colour
 */
function swatch(kind, colour) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 22 14");
  svg.setAttribute("class", `plot-swatch is-${kind} is-${colour}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[/** @type {keyof typeof SHAPES} */ (kind)] ?? SHAPES.gap);
  svg.append(path);
  return svg;
}

const SHAPES = {
  bar: "M2 14V5H7V14ZM9 14V1H14V14ZM16 14V7H21V14Z",
  "bar-down": "M2 0V9H7V0ZM9 0V13H14V0ZM16 0V7H21V0Z",
  line: "M1 7H21",
  partial: "M5 1H17V13H5Z",
  gap: "M1 0H21V14H1Z",
  none: "M6 7H16",
  "heat-1": "M4 0H18V14H4Z",
  "heat-5": "M4 0H18V14H4Z",
};

/**
 * @param {string} name
 * @param {Colours} colours
 */
function colourOf(name, colours) {
  return colours[{ a: "in", b: "out", c: "both" }[name] ?? name] ?? colours.ink;
}

/**
 * @param {Element} element
 * @returns {Colours}
 */
function coloursOf(element) {
  const style = getComputedStyle(element);
  const names = ["ground", "sheet", "ink", "quiet", "hair", "in", "out", "both", "gap", "running", "glow"];
  return {
    ...Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])),
    // In a picture the names of letters stand in an attribute between double quotes.
    font: style.fontFamily.replace(/"/g, "'"),
  };
}

/**
 * `share` of the second colour on the first; both as #rrggbb or #rgb.
 * @param {string} ground
 * @param {string} colour
 * @param {number} share
 */
function mixed(ground, colour, share) {
  const [from, to] = [ground, colour].map((text) => (text.length < 7 ? text.replace(/[^#]/g, "$&$&") : text));
  const parts = [1, 3, 5].map((at) => {
    const [a, b] = [from, to].map((text) => parseInt(text.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * share).toString(16).padStart(2, "0");
  });
  return `#${parts.join("")}`;
}

/**
 * @param {string} colour
 * @param {string} ground
 */
function faded(colour, ground) {
  return mixed(ground, colour, 0.35);
}

// ------------------------------------------------------------------------------------------------------------ pictures

const PAPER = { width: 1000, height: 460, margin: 28 };

/**
 * The chart as a picture for itself: with title, what its colours mean, its remarks, source and licence.
 * @param {Spec} spec
 * @param {any} drawing the library
 * @param {Boot} boot
 * @param {[number, number]|null} range
 */
function picture(spec, drawing, boot, range) {
  const holder = document.createElement("div");
  holder.className = "plot-paper";
  document.body.append(holder);
  const colours = coloursOf(holder);
  const inner = PAPER.width - 2 * PAPER.margin;
  const height = spec.kind === "heat" ? 90 + 30 * (spec.y ?? []).length : PAPER.height;
  const chart = drawing.init(holder, null, { renderer: "svg", width: inner, height });
  chart.setOption(option(spec, { colours, width: inner, locale: boot.locale, range, zoom: false }));
  const plot = spec.kind === "heat" || !range ? chart : zoomedTo(chart, spec, range);
  const drawn = plot.renderToSVGString();
  chart.dispose();
  holder.remove();
  const pen = document.createElement("canvas").getContext("2d");
  /** @type {string[]} */
  const parts = [];
  let y = PAPER.margin;
  /**
   * @param {string} text
   * @param {number} size
   * @param {string} colour
   * @param {number} weight
   */
  const write = (text, size, colour, weight = 400) => {
    for (const row of wrapped(text, inner, `${weight} ${size}px ${colours.font}`, pen)) {
      y += size * 1.3;
      parts.push(`<text x="${PAPER.margin}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${colour}">${escaped(row)}</text>`);
    }
  };
  write(spec.title, 22, colours.ink, 700);
  y += 14;
  let x = PAPER.margin;
  for (const { kind, colour, text } of keysOf(spec)) {
    const length = textWidth(text, `400 15px ${colours.font}`, pen) + 56;
    if (x + length > PAPER.width - PAPER.margin && x > PAPER.margin) [x, y] = [PAPER.margin, y + 24];
    parts.push(paperSwatch(kind, colour, x, y, colours));
    parts.push(`<text x="${x + 28}" y="${y + 12}" font-size="15" fill="${colours.quiet}">${escaped(text)}</text>`);
    x += length;
  }
  y += 24;
  parts.push(drawn.slice(drawn.indexOf("<svg")).replace("<svg", `<svg x="${PAPER.margin}" y="${y}"`));
  y += height;
  (spec.remarks ?? []).forEach((mark, index) => write(`${index + 1}  ${mark.text}`, 15, colours.ink));
  y += 6;
  write(spec.source, 13, colours.quiet);
  y += PAPER.margin;
  const size = `width="${PAPER.width}" height="${Math.ceil(y)}" viewBox="0 0 ${PAPER.width} ${Math.ceil(y)}"`;
  const text =
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="${escaped(colours.font)}">` +
    `<title>${escaped(spec.title)}</title><desc>${escaped(spec.source)}</desc>` +
    `<rect width="100%" height="100%" fill="${colours.sheet}"/>${parts.join("")}</svg>`;
  return { text, width: PAPER.width, height: Math.ceil(y) };
}

/**
 * @param {any} chart
 * @param {Spec} spec
 * @param {[number, number]} range
 */
function zoomedTo(chart, spec, range) {
  const [min, max] = visible(spec, range);
  chart.setOption({ xAxis: { min, max } });
  return chart;
}

/**
 * @param {string} kind
 * @param {string} colour
 * @param {number} x
 * @param {number} y
 * @param {Colours} colours
 */
function paperSwatch(kind, colour, x, y, colours) {
  const shape = SHAPES[/** @type {keyof typeof SHAPES} */ (kind)] ?? SHAPES.gap;
  const plain = colourOf(colour, colours);
  const heat = heatColours(colours);
  const fill = { gap: colours.gap, partial: faded(plain, colours.sheet), "heat-1": heat[0], "heat-5": heat[4] }[kind] ?? plain;
  const stroke = ["line", "partial", "none"].includes(kind) ? plain : kind.startsWith("heat") || kind === "gap" ? colours.hair : "none";
  const dash = kind === "partial" ? ' stroke-dasharray="3 2"' : "";
  return `<path transform="translate(${x} ${y})" d="${shape}" fill="${fill}" stroke="${stroke}" stroke-width="${kind === "line" ? 2.5 : 1}"${dash}/>`;
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

/**
 * @param {string} text
 * @param {string} font
 * @param {CanvasRenderingContext2D|null} pen
 */
function textWidth(text, font, pen) {
  if (!pen) return text.length * 8;
  pen.font = font;
  return pen.measureText(text).width;
}

/**
 * @param {string} text
 * @param {number} width
 * @param {string} font
 * @param {CanvasRenderingContext2D|null} pen
 */
function wrapped(text, width, font, pen) {
  /** @type {string[]} */
  const rows = [];
  for (const word of text.split(/\s+/)) {
    const longer = rows.length ? `${rows.at(-1)} ${word}` : word;
    if (rows.length && textWidth(longer, font, pen) <= width) rows[rows.length - 1] = longer;
    else rows.push(word);
  }
  return rows;
}

/**
 * @param {Blob} svg
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Blob>}
 */
async function rastered(svg, width, height) {
  const address = URL.createObjectURL(svg);
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * width, 2 * height];
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, failed) => {
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture"))), "image/png");
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}
