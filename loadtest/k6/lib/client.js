// The calls that the scripts make, each with the answers that are no failure of it. What was not executed (503) is counted and never
// sent again here: a retry would hide overload.
import http from "k6/http";
import exec from "k6/execution";
import { Counter, Rate, Trend } from "k6/metrics";

/** @typedef {{ sku: string, quantity: number, unit_price: number }} Line */

export const url = __ENV.HOLDFAST_URL || "http://127.0.0.1:8080";
/** Names of SKUs, customers and keys begin with it, so that two runs against one server do not meet. */
const run = __ENV.RUN || `k6-${Date.now()}`;

const placed = new Counter("orders_placed");
const answered = new Rate("orders_answered");
/** Of each kind of answer to an order, how long it took: that it is sold out must not be slower to hear than a sale. */
const took = {
  201: new Trend("order_accepted", true),
  409: new Trend("order_refused", true),
  503: new Trend("order_turned_away", true),
};

// 409 out_of_stock is what a sale ends with, and 503 with Retry-After is how overload is told. Neither is a fault.
http.setResponseCallback(http.expectedStatuses(200, 201, 202, 409, 503));

/** @param {string} name what the request is called in the figures @param {string} [key] its idempotency key @param {string} [version] */
function params(name, key, version) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json" };
  if (__ENV.HOLDFAST_KEY) headers.Authorization = `Bearer ${__ENV.HOLDFAST_KEY}`;
  if (key) headers["Idempotency-Key"] = key;
  if (version) headers["If-Match"] = version;
  return { headers, tags: { name }, timeout: "30s" };
}

/** A name of this run. @param {string | number} name */
export const named = (name) => `${run}-${name}`;

/** A key nobody used: one a virtual user and iteration. */
export const freshKey = () => named(`${exec.vu.idInTest}-${exec.scenario.iterationInTest}`);

/** Counts the units of a SKU that has none yet. @param {string} sku @param {number} units */
export function stock(sku, units) {
  const path = `${url}/v1/inventory/${encodeURIComponent(sku)}/locations/main`;
  return http.put(path, JSON.stringify({ on_hand: units }), params("stock", undefined, '"0"'));
}

/** @param {string} sku */
export const stockOf = (sku) => http.get(`${url}/v1/inventory/${encodeURIComponent(sku)}`, params("stock of"));

/** @param {Line[]} lines @param {number} [ttl] seconds until unpaid units are free again */
function order(lines, ttl) {
  const customer_id = named(`customer-${exec.vu.idInTest}`);
  return JSON.stringify({ customer_id, currency: "EUR", lines, ...(ttl ? { ttl_seconds: ttl } : {}) });
}

/** @param {import("k6/http").RefinedResponse<"text">} answer */
function count(answer) {
  const trend = took[/** @type {keyof typeof took} */ (answer.status)];
  answered.add(trend !== undefined);
  trend?.add(answer.timings.duration);
  if (answer.status === 201) placed.add(1);
  return answer;
}

/** Places an order under `key`. @param {string} key @param {Line[]} lines @param {number} [ttl] */
export function place(key, lines, ttl) {
  return count(http.post(`${url}/v1/orders`, order(lines, ttl), params("place", key)));
}

/** The same order under the same key, `times` at once. @param {string} key @param {Line[]} lines @param {number} times */
export function placeAtOnce(key, lines, times) {
  /** @type {import("k6/http").BatchRequest} */
  const request = { method: "POST", url: `${url}/v1/orders`, body: order(lines), params: params("place at once", key) };
  return http.batch(Array.from({ length: times }, () => request));
}

/** @param {string} id */
export const cancel = (id) => http.post(`${url}/v1/orders/${id}:cancel`, null, params("cancel"));

/** Starts a payment with the provider of the sandbox. @param {string} id */
export function pay(id) {
  const body = JSON.stringify({ provider: "sandbox" });
  return http.post(`${url}/v1/orders/${id}/payments`, body, params("pay", `${id}-pay`));
}

/** Presses the button of the buyer. @param {string} redirect the page of the payment */
export const approve = (redirect) => http.post(`${redirect}/approve`, null, params("approve"));

/** @param {string} id */
export const read = (id) => http.get(`${url}/v1/orders/${id}`, params("read"));

/** Everything the server has, added up by itself. */
export const audit = () => http.post(`${url}/admin/v1/audit`, null, params("audit"));

/** A member of an answer, or undefined. @param {import("k6/http").Response} answer @param {string} path @returns {any} */
export const member = (answer, path) => (answer.body ? answer.json(path) : undefined);
