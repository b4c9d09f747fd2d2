// node standin/once.js SCRIPT: set-up, a few iterations of each scenario, tear-down and summary of a k6 script, against HOLDFAST_URL. Fails if a check or
// a bound does. Buyers choose by a seed, so that the few iterations take every branch, and the same ones each time.
import { writeFileSync } from "node:fs";
import { register } from "node:module";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { at, add, checks, metrics } from "./state.js";
import { breaches } from "./thresholds.js";

register("./hooks.js", import.meta.url);
const executors = ["constant-arrival-rate", "ramping-arrival-rate", "constant-vus", "ramping-vus", "shared-iterations", "per-vu-iterations"];
const ITERATIONS = 12;
const began = performance.now();
const file = resolve(process.argv[2] ?? "");
Object.assign(globalThis, { __ENV: process.env, __VU: 1, __ITER: 0 });
Math.random = seeded(1);
const script = await import(pathToFileURL(file).href);
const { scenarios, thresholds } = script.options;

const data = script.setup?.();
for (const [name, scenario] of Object.entries(scenarios)) {
  if (!executors.includes(scenario.executor)) throw new Error(`${name}: no executor is called ${scenario.executor}`);
  const run = script[scenario.exec ?? "default"];
  if (typeof run !== "function") throw new Error(`${name}: the script has no function ${scenario.exec}`);
  for (let n = 0; n < ITERATIONS; n++) {
    Object.assign(at, { vu: at.vu + 1, iteration: at.iteration + 1, scenario: name });
    run(data);
    add("iterations", 1);
  }
}
script.teardown?.(data);

/** Numbers from 0 to 1 by a linear congruence (Numerical Recipes). @param {number} state */
function seeded(state) {
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

/** @param {string} name @param {import("./state.js").Metric} metric */
function values(name, { type, samples }) {
  const sorted = samples.toSorted((a, b) => a - b);
  const sum = sorted.reduce((all, sample) => all + sample, 0);
  const passes = sorted.filter(Boolean).length;
  if (type === "counter") return { count: sum, rate: (sum * 1000) / (performance.now() - began) };
  if (type === "rate") return { rate: passes / (sorted.length || 1), passes, fails: sorted.length - passes };
  const percentile = (/** @type {number} */ p) => sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? 0;
  const stats = script.options.summaryTrendStats.map((/** @type {string} */ stat) => {
    const p = /^p\((.*)\)$/.exec(stat);
    const named = { avg: sum / (sorted.length || 1), min: sorted[0], med: percentile(50), max: sorted.at(-1), count: sorted.length };
    return [stat, p ? percentile(Number(p[1])) : named[/** @type {keyof typeof named} */ (stat)]];
  });
  return Object.fromEntries(stats);
}

const wrong = breaches(thresholds);
const shown = [...metrics].map(([name, metric]) => [name, { type: metric.type, contains: metric.contains, values: values(name, metric) }]);
const summary = script.handleSummary({
  metrics: Object.fromEntries(shown),
  state: { testRunDurationMs: performance.now() - began, isStdOutTTY: false, isStdErrTTY: false },
  options: script.options,
});
for (const [to, text] of Object.entries(summary)) {
  if (to === "stdout") process.stdout.write(text);
  else writeFileSync(to, text);
}
const failed = [...checks].filter(([, { fails }]) => fails > 0).map(([name]) => `the check "${name}" failed`);
if (checks.size === 0) failed.push("nothing was checked");
[...failed, ...wrong].forEach((what) => console.error(`${basename(file)}: ${what}`));
process.exit(failed.length + wrong.length > 0 ? 1 : 0);
