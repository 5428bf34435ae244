// The board of a station as the scripts want it. No document here, no clock, no words.

/**
 * The board of one station as it is on the stream, with times as milliseconds and its minutes as readings.
 * @param {StreamStation} station
 * @returns {Station}
 */
export function read(station) {
  const { minutes } = station;
  const first = Date.parse(minutes.start);
  const step = minutes.step_s * 1000;
  return {
    ...station,
    updated: station.updated === null ? null : Date.parse(station.updated),
    today: times(station.today),
    last_day: station.last_day === null ? null : times(station.last_day),
    minutes: minutes.count.map((count, i) => ({
      start: first + i * step,
      end: first + (i + 1) * step,
      counts: Object.fromEntries(station.directions.map((key) => [key, minutes.counts[key][i]])),
      count,
      coverage: minutes.coverage[i],
      state: minutes.state[i],
      reason: minutes.reason[i],
    })),
  };
}

/** @param {StreamReading} reading @returns {Reading} */
function times(reading) {
  return { ...reading, start: Date.parse(reading.start), end: Date.parse(reading.end) };
}
