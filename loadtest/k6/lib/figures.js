// k6's milliseconds as whole microseconds, and which bounds were broken.

/** @param {number} value */
export const rounded = (value) => Math.round(value * 1000) / 1000;

/** @param {Record<string, number>} values of a trend */
export function percentiles(values) {
  const micros = (/** @type {string} */ name) => Math.round((values[name] ?? 0) * 1000);
  return {
    count: values.count ?? 0,
    mean: (values.avg ?? 0) * 1000,
    p50: micros("med"),
    p90: micros("p(90)"),
    p99: micros("p(99)"),
    p999: micros("p(99.9)"),
    max: micros("max"),
  };
}

/** @param {Record<string, { thresholds?: Record<string, { ok: boolean }> }>} metrics */
export function breached(metrics) {
  return Object.entries(metrics).flatMap(([name, { thresholds = {} }]) =>
    Object.entries(thresholds).flatMap(([bound, { ok }]) => (ok ? [] : [`${name}: ${bound}`])),
  );
}
