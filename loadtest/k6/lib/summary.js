// What a run came to, in the form that `loadtest report` and `loadtest diff` read: summary.json of schema 1. k6 hands over totals only, so there is
// nothing by second and no curve between the percentiles.
import { breached, percentiles, rounded } from "./figures.js";

/** @typedef {{ type: string, contains: string, values: Record<string, number>, thresholds?: Record<string, { ok: boolean }> }} Metric */
/** @typedef {{ metrics: Record<string, Metric>, state: { testRunDurationMs: number } }} Data */

const classes = /** @type {const} */ (["accepted", "refused", "turned_away"]);

/** @param {Data} data @param {string} name */
const value = (data, name, of = "count") => data.metrics[name]?.values[of] ?? 0;

/** @param {Data} data @param {number} seconds */
function totals(data, seconds) {
  const [accepted, refused, turned_away] = classes.map((kind) => value(data, `order_${kind}`));
  const failed = value(data, "orders_answered", "fails");
  const dropped = value(data, "dropped_iterations");
  const due = accepted + refused + turned_away + failed + dropped;
  return { due, dropped, accepted, refused, turned_away, failed, goodput: rounded(accepted / seconds) };
}

/** @param {Data} data */
function latencies(data) {
  const there = classes.filter((kind) => value(data, `order_${kind}`) > 0);
  return there.map((kind) => {
    const { values } = data.metrics[`order_${kind}`];
    const curve = [50, 90, 99, 99.9].map((p) => [p, Math.round(values[p === 50 ? "med" : `p(${p})`] * 1000)]);
    return { operation: "place", class: kind, percentiles: percentiles(values), curve };
  });
}

/** @param {string} name @param {Data} data */
function written(name, data) {
  const seconds = data.state.testRunDurationMs / 1000;
  const failed = value(data, "checks", "fails");
  const all = totals(data, seconds);
  return {
    schema: 1,
    scenario: { name: `k6 ${name}`, about: "A script of loadtest/k6.", seconds, load: { shape: "constant" } },
    started: new Date(Date.now() - data.state.testRunDurationMs).toISOString(),
    seconds,
    server: __ENV.HOLDFAST_URL || "http://127.0.0.1:8080",
    machine: { processor: "", cores: 0, memory_mb: 0, kernel: "", sync_us: 0, load: "", generator: "k6" },
    invalid: all.dropped > 0 ? [`${all.dropped} buyers did not come: no virtual user was free`] : [],
    broken: breached(data.metrics),
    audit: { findings: failed > 0 ? [{ breach: "inconsistent", what: `${failed} checks failed` }] : [] },
    totals: all,
    answers: { place: Object.fromEntries(classes.map((kind) => [kind, all[kind]])) },
    latencies: latencies(data),
    lateness: percentiles({}),
    by_second: [],
    samples: [],
    notes: ["k6 counts latency from when a request was sent. Buyers who could not be sent in time are dropped, and any of those makes the run invalid."],
  };
}

/** What k6 calls at the end: the file, and a line on the terminal. @param {string} name */
export const summary = (name) => (/** @type {Data} */ data) => {
  const all = written(name, data);
  const to = `${__ENV.OUT || "."}/k6-${name}.json`;
  const { accepted, refused, turned_away, failed } = all.totals;
  const line = `${name}: accepted=${accepted} refused=${refused} turned_away=${turned_away} failed=${failed}`;
  const faults = [...all.broken, ...all.audit.findings.map((finding) => finding.what)].map((fault) => `  ${fault}\n`).join("");
  return { [to]: `${JSON.stringify(all, null, 2)}\n`, stdout: `${line}, ${to}\n${faults}` };
};
