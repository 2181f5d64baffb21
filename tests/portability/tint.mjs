// Validates WGSL files with Tint, the front end of Chromium and Dawn: node tint.mjs WEBGPU_PACKAGE FILE...
// Prints what it says of each file that it refuses, and ends with code 1 where there is one.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , pack, ...paths] = process.argv;
if (paths.length === 0) throw new Error("tint.mjs: no files to validate");
const { create } = await import(pathToFileURL(`${pack}/index.js`));
// Dawn's instance goes with the last reference to it, and what it made with it.
globalThis.gpu = create(["backend=null"]);
const adapter = await globalThis.gpu.requestAdapter();
if (!adapter) throw new Error("tint.mjs: Dawn was built without its adapter that does nothing");
const device = await adapter.requestDevice({ requiredFeatures: ["shader-f16"] });
// They are told below.
device.addEventListener("uncapturederror", (event) => event.preventDefault());
let refused = 0;
for (const path of paths) {
  const module = device.createShaderModule({ code: readFileSync(path, "utf8") });
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter((message) => message.type === "error");
  if (errors.length > 0) refused += 1;
  for (const { lineNum, linePos, message } of errors) console.log(`${path}:${lineNum}:${linePos}: ${message}`);
}
console.log(`Tint: ${paths.length - refused} of ${paths.length} files are valid`);
// Dawn keeps the process alive.
process.exit(refused > 0 ? 1 : 0);
