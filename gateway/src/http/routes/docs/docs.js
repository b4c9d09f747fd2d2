// Starts Swagger UI on the description of this server. Loads nothing else.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// Not crypto.randomUUID: browsers have it on localhost and over TLS only.
const freshKey = () => "try-" + Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Each call gets a key of its own at each visit: an example that is sent is a new order, not a retry of somebody else's.
function giveKeys(description) {
  const calls = Object.values(description.paths).flatMap((path) => Object.values(path));
  const shared = Object.values(description.components?.parameters ?? {});
  for (const parameter of calls.flatMap((call) => call.parameters ?? []).concat(shared)) {
    if (parameter.required && parameter.name?.toLowerCase() === "idempotency-key") parameter.example = freshKey();
  }
  return description;
}

// A stream never ends, and Swagger UI shows nothing before the end.
const noTryingOfStreams = {
  statePlugins: {
    spec: { wrapSelectors: { allowTryItOutFor: () => (state, path, method) => !path.endsWith("/stream") } },
  },
};

const show = (spec) =>
  SwaggerUIBundle({
    spec,
    dom_id: "#docs",
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [noTryingOfStreams],
    layout: "BaseLayout",
    validatorUrl: null,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    // A key that was typed in is gone with the page.
    persistAuthorization: false,
  });

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then(giveKeys)
  .then(show)
  .catch((error) => {
    document.getElementById("docs").textContent = `The description could not be shown: ${error.message}`;
  });
