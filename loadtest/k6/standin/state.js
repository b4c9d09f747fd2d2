// What one run gathers: the figures by name and tag, the checks, and which virtual user and iteration it is.

/** @typedef {{ type: string, contains: string, samples: number[] }} Metric */

/** @type {Map<string, Metric>} */
export const metrics = new Map();
/** @type {Map<string, { passes: number, fails: number }>} */
export const checks = new Map();
export const at = { vu: 1, iteration: 0, scenario: "" };

/** @param {string} name @param {string} type @param {string} [contains] */
export function declare(name, type, contains = "default") {
  const known = metrics.get(name);
  if (known && known.type !== type) throw new Error(`the metric ${name} is a ${known.type} already, not a ${type}`);
  if (!known) metrics.set(name, { type, contains, samples: [] });
}

/** @param {string} name @param {number} value @param {string} [tag] what the request was called */
export function add(name, value, tag) {
  const metric = metrics.get(name);
  if (!metric) throw new Error(`nobody declared the metric ${name}`);
  metric.samples.push(value);
  if (tag === undefined) return;
  declare(`${name}{name:${tag}}`, metric.type, metric.contains);
  add(`${name}{name:${tag}}`, value);
}

declare("checks", "rate");
declare("dropped_iterations", "counter");
declare("http_reqs", "counter");
declare("http_req_failed", "rate");
declare("http_req_duration", "trend", "time");
declare("iterations", "counter");
