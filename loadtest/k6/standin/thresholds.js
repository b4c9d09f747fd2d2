// The bounds of a script: each names a metric that there is, in k6's spelling. Bounds on counts and rates are applied, bounds on times are not.
import { metrics } from "./state.js";

const spelling = /^(count|rate|avg|min|med|max|p\(\d+(?:\.\d+)?\))(==|<=|>=|<|>)(\d+(?:\.\d+)?)$/;

/** @type {Record<string, (a: number, b: number) => boolean>} */
const compare = {
  "==": (a, b) => a === b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
};

/** @param {number[]} samples */
const sum = (samples) => samples.reduce((all, sample) => all + sample, 0);

/** @param {string} name @param {string} bound @returns {string | undefined} what is wrong */
function broken(name, bound) {
  const parts = spelling.exec(bound);
  if (!parts) return `${name}: "${bound}" is no bound`;
  const metric = metrics.get(name) ?? metrics.get(name.replace(/\{.*/, ""));
  if (!metric) return `${name}: there is no such metric`;
  const [, of, how, than] = parts;
  if (metric.type === "trend") return undefined;
  const samples = metrics.get(name)?.samples ?? [];
  const value = of === "count" ? sum(samples) : samples.length === 0 ? Number(than) : sum(samples) / samples.length;
  return compare[how](value, Number(than)) ? undefined : `${name}: ${of} is ${value}, not ${how} ${than}`;
}

/** @param {Record<string, string[]>} thresholds @returns {string[]} what is wrong */
export function breaches(thresholds) {
  return Object.entries(thresholds).flatMap(([name, bounds]) => bounds.flatMap((bound) => broken(name, bound) ?? []));
}
