// How a board is shown: the same rules as now_view.py, which wrote the page first. No document here, no clock.

/**
 * Passages in the minutes that were measured; null if none was.
 * @param {Pick<Reading, "count">[]} readings
 * @returns {number | null}
 */
export function sum(readings) {
  const counts = readings.map((reading) => reading.count).filter((count) => count !== null);
  return counts.length ? counts.reduce((a, b) => a + b, 0) : null;
}

/**
 * The figure before it is written: a count, or null, and whether it is only a lower bound.
 * @param {Station} station
 * @param {number} at
 * @param {Rules} rules
 */
export function today(station, at, rules) {
  const { count } = station.today;
  return { count, atLeast: count !== null && missing(station.today, at, rules) > rules.onTheirWayS };
}

/** @param {Station} station @param {number} minutes @param {number} at @param {Rules} rules */
export function recent(station, minutes, at, rules) {
  const readings = station.minutes.slice(-minutes);
  const count = sum(readings);
  return { count, atLeast: count !== null && hasGap(readings, at, rules) };
}

/**
 * Seconds of the reading up to `at` that were not measured; 0 where the API calls it complete.
 * @param {Reading} reading
 * @param {number} at
 * @param {Rules} rules
 */
export function missing(reading, at, rules) {
  const coverage = reading.coverage ?? 0;
  if (coverage >= rules.complete) return 0;
  return (Math.max(0, Math.min(at, reading.end) - reading.start) / 1000) * (1 - coverage);
}

/** @param {Reading[]} readings @param {number} at @param {Rules} rules */
function hasGap(readings, at, rules) {
  const ripe = at - rules.onTheirWayS * 1000;
  return readings.some((reading) => reading.end <= ripe && reading.state !== "measured");
}

/** @param {Station} station @param {number} at @param {Rules} rules */
export function statusOf(station, at, rules) {
  if (station.updated === null) return "never";
  const silence = (at - station.updated) / 1000;
  if (silence > rules.historicAfterS && station.last_day !== null) return "last_day";
  if (silence > rules.silentAfterS) return "silent";
  if (missing(station.today, at, rules) > rules.onTheirWayS) return "partial";
  return sum(station.minutes) ? "measured" : "quiet";
}

/**
 * @param {string} status
 * @param {Station} station
 * @param {number} at
 * @param {import("./words.js").Words} words
 */
export function statusText(status, station, at, words) {
  if (station.updated === null) return words.t("status.never");
  const zone = station.timezone;
  const time = words.clock(station.updated, zone);
  if (status === "last_day" && station.last_day !== null) {
    const { count, start, end } = station.last_day;
    return words.t("status.last_day", {
      date: words.date(start, zone),
      // A day that was measured to its end ended at 24:00, not on the next one.
      time: station.updated < end ? time : "24:00",
      count: count === null ? words.t("live.dash") : words.number(count),
    });
  }
  if (status === "silent") {
    const date = words.date(station.updated, zone);
    return words.t(date === words.date(at, zone) ? "status.silent" : "status.silent_day", { date, time });
  }
  const coverage = words.percent(station.today.coverage ?? 0);
  return words.t(`status.${status}`, { time, coverage });
}

/**
 * The map in a sentence: how much is going on, and where most.
 * @param {Station[]} stations
 * @param {Rules} rules
 * @param {import("./words.js").Words} words
 */
export function summary(stations, rules, words) {
  const measured = stations.flatMap((station) => {
    const count = sum(station.minutes.slice(-rules.recentMinutes));
    return count === null ? [] : [{ count, top: station.name }];
  });
  if (!measured.length) return words.t("live.none");
  const total = measured.reduce((all, { count }) => all + count, 0);
  if (total === 0) return words.t("live.quiet");
  const { count, top } = measured.reduce((a, b) => (b.count > a.count ? b : a));
  return words.t("live.summary", { top, top_count: words.number(count) }, total);
}

/**
 * Radius of the ring around a dot: the area between the two is proportional to the count.
 * @param {number | null} count
 * @param {DOMStringMap} sizes what the server wrote beside the ring: `dot`, `ring` and `ringMax`
 */
export function ringRadius(count, sizes) {
  const [dot, ring, most] = [Number(sizes.dot), Number(sizes.ring), Number(sizes.ringMax)];
  return Math.min(Math.sqrt(dot ** 2 + (ring ** 2 * (count ?? 0)) / 100), most).toFixed(1);
}

/**
 * The last hour in little, as path data: first direction up, second down, what was not measured as gaps.
 * @param {Reading[]} minutes
 * @param {Rules} rules
 * @returns {Record<string, string>}
 */
export function spark(minutes, rules) {
  const half = rules.sparkHalf;
  const peak = Math.max(0, ...minutes.flatMap((reading) => Object.values(reading.counts).map((count) => count ?? 0)));
  const scale = half / Math.max(peak, 4);
  const paths = { up: "", down: "", gaps: "" };
  minutes.forEach((reading, index) => {
    const x = 2 * index + 1;
    if (reading.count === null) {
      paths.gaps += `M${x} ${half + 5}V${half - 3}`;
      return;
    }
    for (const [key, count] of Object.entries(reading.counts)) {
      if (!count) continue;
      const sign = key === "out" ? 1 : -1;
      paths[sign > 0 ? "down" : "up"] += `M${x} ${half + 1}V${half + 1 + (sign * Math.round(count * scale * 10)) / 10}`;
    }
  });
  return paths;
}
