// k6's http is synchronous, so a thread of its own sends and this one waits for it.
import { MessageChannel, Worker, receiveMessageOnPort } from "node:worker_threads";
import { add } from "../state.js";

const { port1: near, port2: far } = new MessageChannel();
const signal = new Int32Array(new SharedArrayBuffer(4));
const worker = new Worker(new URL("../sender.js", import.meta.url), { workerData: { far, signal }, transferList: [far] });
worker.unref();

/** @type {(status: number) => boolean} */
let expected = (status) => status >= 200 && status < 400;

/** @typedef {{ method: string, url: string, body?: string | null, params?: { headers?: Record<string, string>, tags?: { name?: string } } }} Sent */
/** @typedef {{ status: number, body: string, headers: Record<string, string>, took: number }} Got */

/** @param {Got} got @param {Sent} sent */
function response(got, sent) {
  const name = sent.params?.tags?.name ?? sent.url;
  add("http_reqs", 1, name);
  add("http_req_duration", got.took, name);
  add("http_req_failed", Number(!expected(got.status)), name);
  if (!expected(got.status)) console.error(`   unexpected: ${sent.method} ${sent.url}: ${got.status} ${got.body.slice(0, 400)}`);
  const json = (/** @type {string} */ path) =>
    (path ? path.split(".") : []).reduce((value, step) => value?.[step], JSON.parse(got.body));
  return { ...got, url: sent.url, json, timings: { duration: got.took } };
}

/** Sends all at once and waits for all. @param {Sent[]} requests */
function batch(requests) {
  Atomics.store(signal, 0, 0);
  near.postMessage(requests.map((sent) => ({ ...sent, params: { headers: sent.params?.headers ?? {} } })));
  if (Atomics.wait(signal, 0, 0, 60_000) === "timed-out") throw new Error("no answer within a minute");
  const received = receiveMessageOnPort(near);
  if (received === undefined) throw new Error("the sender said nothing");
  const answers = /** @type {(Got | { error: string })[]} */ (received.message);
  return answers.map((got, index) => {
    if ("error" in got) throw new Error(`${requests[index].method} ${requests[index].url}: ${got.error}`);
    return response(got, requests[index]);
  });
}

/** @param {string} method */
const sends = (method) => (/** @type {string} */ url, /** @type {string | null} */ body, /** @type {Sent["params"]} */ params) =>
  batch([{ method, url, body, params }])[0];

export default {
  batch,
  post: sends("POST"),
  put: sends("PUT"),
  get: (/** @type {string} */ url, /** @type {Sent["params"]} */ params) => batch([{ method: "GET", url, params }])[0],
  expectedStatuses: (/** @type {number[]} */ ...statuses) => (/** @type {number} */ status) => statuses.includes(status),
  setResponseCallback: (/** @type {(status: number) => boolean} */ callback) => {
    expected = callback;
  },
};
