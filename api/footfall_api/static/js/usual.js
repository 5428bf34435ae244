// Today beside what is usual: the same rules as usual_view.py, which wrote the page first. No document here, no clock.

import { recent, sum, today } from "./rules.js";

// An hour is [start, end, count if all of it was measured, usual]; times are milliseconds.
const START = 0;
const END = 1;
const COUNT = 2;
const USUAL = 3;

/**
 * @typedef {import("./words.js").Words} Words
 * @typedef {{ count: number, usual: number, hours: null }} Whole all of today up to now
 * @typedef {{ count: number | null, usual: number | null, hours: null }} UpToNow the same as far as it is known
 * @typedef {{ count: number, usual: number, hours: number }} InHours in so many whole hours
 * @typedef {UpToNow | InHours} Beside a number and what is usual in the same time; null: it is not known
 * @typedef {{ station: Station, beside: Beside | null, status: string }} Shown
 */

/** @type {Beside} */
const few = { count: null, usual: null, hours: null };

/**
 * The hour that runs at `at`, or undefined if the day that is known is over.
 * @param {Day} day
 * @param {number} at
 */
export function runningHour(day, at) {
  return day.hours.find((hour) => hour[START] <= at && at < hour[END]);
}

/**
 * Today up to `at` beside what is usual; null if nobody knows what is usual.
 * @param {Station} station
 * @param {Day | undefined} day
 * @param {number} at
 * @param {Rules} rules
 * @returns {Beside | null}
 */
export function soFar(station, day, at, rules) {
  const running = day && runningHour(day, at);
  if (!running) return null;
  const { count, atLeast } = today(station, at, rules);
  const over = day.hours.filter((hour) => hour[END] <= at);
  const parts = [...over.map((hour) => hour[USUAL]), running[USUAL]];
  const known = parts.every((mean) => mean !== null);
  const usual = known ? total(over.map((hour) => hour[USUAL])) + (running[USUAL] ?? 0) * share(running, at) : null;
  if (count === null || (!atLeast && known)) return { count, usual, hours: null };
  const both = over.filter((hour) => hour[COUNT] !== null && hour[USUAL] !== null);
  if (!both.length) return { count: null, usual, hours: null };
  return { count: total(both.map((hour) => hour[COUNT])), usual: total(both.map((hour) => hour[USUAL])), hours: both.length };
}

/**
 * The last 60 minutes beside what is usual in the parts of the two hours that they lie in; null: not known.
 * @param {Station} station
 * @param {Day | undefined} day
 * @param {number} at
 * @param {Rules} rules
 * @returns {Beside | null}
 */
export function lately(station, day, at, rules) {
  const running = day && runningHour(day, at);
  if (!running) return null;
  const index = day.hours.indexOf(running);
  const before = index ? day.hours[index - 1][USUAL] : day.before;
  if (running[USUAL] === null || before === null) return few;
  const part = share(running, at);
  const { count, atLeast } = recent(station, 60, at, rules);
  return { count: atLeast ? null : count, usual: running[USUAL] * part + before * (1 - part), hours: null };
}

/** @param {Hour} hour @param {number} at */
function share([start, end], at) {
  return (at - start) / (end - start);
}

/** @param {(number | null)[]} values */
function total(values) {
  return values.reduce((/** @type {number} */ all, value) => all + (value ?? 0), 0);
}

/**
 * Rounded as in Python: a half goes up.
 * @param {number} value
 */
function halfUp(value) {
  return Math.floor(value + 0.5);
}

/** @param {Beside} beside @param {Rules} rules @param {Words} words */
function change({ count, usual }, rules, words) {
  if (count === null || usual === null || usual < rules.leastUsual) return "";
  const percent = halfUp((count / usual - 1) * 100);
  const sign = percent > 0 ? "+" : percent < 0 ? "\u2212" : "±";
  return ` (${sign}${words.percent(Math.abs(percent) / 100)})`;
}

/** @param {Beside | null} beside @param {Rules} rules @param {Words} words */
export function soFarText(beside, rules, words) {
  if (beside === null) return "";
  if (beside.usual === null) return words.t("usual.few");
  const told = { usual: words.number(halfUp(beside.usual)), change: change(beside, rules, words) };
  if (beside.hours === null) return words.t("usual.so_far", told);
  return words.t("usual.hours", { passages: words.number(beside.count), ...told }, beside.hours);
}

/** @param {Beside | null} beside @param {Rules} rules @param {Words} words */
export function latelyText(beside, rules, words) {
  if (beside === null || beside.usual === null) return "";
  return words.t("usual.now", { usual: words.number(halfUp(beside.usual)), change: change(beside, rules, words) });
}

/**
 * All stations together: their totals, and what they are beside what is usual.
 * @param {Shown[]} shown
 * @param {number} at
 * @param {Rules} rules
 * @param {Words} words
 */
export function together(shown, at, rules, words) {
  const present = shown.filter(({ status }) => status !== "last_day" && status !== "never");
  const figure = (/** @type {(station: Station) => ReturnType<typeof today>} */ of) => {
    const counts = shown.map(({ station }) => of(station).count).filter((count) => count !== null);
    const lacks = present.some(({ station }) => of(station).count === null || of(station).atLeast);
    return { count: counts.length ? total(counts) : null, atLeast: lacks, stations: counts.length };
  };
  const day = figure((station) => today(station, at, rules));
  return {
    today: day,
    sixty: figure((station) => recent(station, 60, at, rules)),
    soFar: togetherText(shown.map(({ beside }) => beside), day.stations, rules, words),
  };
}

/**
 * @param {(Beside | null)[]} besides
 * @param {number} measured so many stations are in the total
 * @param {Rules} rules
 * @param {Words} words
 */
function togetherText(besides, measured, rules, words) {
  const whole = besides.filter(isWhole);
  if (!whole.length) return soFarText(besides.every((beside) => beside === null) ? null : few, rules, words);
  const all = { count: total(whole.map(({ count }) => count)), usual: total(whole.map(({ usual }) => usual)), hours: null };
  const told = soFarText(all, rules, words);
  if (whole.length === measured) return told;
  return words.t("usual.some", { passages: words.number(all.count), beside: told }, whole.length);
}

/**
 * Whether it is all of today up to now, and both numbers are known.
 * @param {Beside | null} beside
 * @returns {beside is Whole}
 */
function isWhole(beside) {
  return beside !== null && beside.hours === null && beside.count !== null && beside.usual !== null;
}

/**
 * What was counted of the running hour, by its minutes; null if none was measured.
 * @param {Station} station
 * @param {Day | undefined} day
 * @param {number} at
 */
export function runningCount(station, day, at) {
  const running = day && runningHour(day, at);
  return running ? sum(station.minutes.filter((minute) => minute.start >= running[START])) : null;
}
