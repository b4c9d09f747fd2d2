// The thread that sends. Header names come as k6 has them: Retry-After, not retry-after.
import { parentPort, workerData } from "node:worker_threads";

const { far, signal } = workerData;
const canonical = (/** @type {string} */ name) => name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());

/** @param {{ method: string, url: string, body?: string | null, params: { headers: Record<string, string> } }} request */
async function send({ method, url, body, params }) {
  const began = performance.now();
  try {
    const got = await fetch(url, { method, body: body ?? undefined, headers: params.headers, redirect: "manual" });
    const text = await got.text();
    const headers = Object.fromEntries([...got.headers].map(([name, value]) => [canonical(name), value]));
    return { status: got.status, body: text, headers, took: performance.now() - began };
  } catch (error) {
    return { error: String(/** @type {Error} */ (error).cause ?? error) };
  }
}

far.on("message", async (/** @type {any[]} */ requests) => {
  const answers = await Promise.all(requests.map(send));
  far.postMessage(answers);
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
});
// It ends with the thread that asks.
parentPort?.unref();
