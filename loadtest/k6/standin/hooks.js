// Resolves the names of k6's modules to the stand-ins beside this file.
const names = new Set(["k6", "k6/http", "k6/metrics", "k6/execution"]);

/** @param {string} name @param {object} context @param {(name: string, context: object) => unknown} next */
export function resolve(name, context, next) {
  if (!names.has(name)) return next(name, context);
  const file = name.replace("/", "-");
  return { url: new URL(`modules/${file}.js`, import.meta.url).href, shortCircuit: true };
}
