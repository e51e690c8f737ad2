// Preloaded into jsii's Node.js process by fast_bindings.py, which says why.
//
// 1. The AWS provider's own lazy index takes the place of its eager one. All other requests resolve as ever.
// 2. jsii (from 1.136 on) indexes a package's 130 MB of type descriptions in a worker thread, so that later runs read
//    only what they use; but a run that ends sooner than the worker kills it, and with (1) every run does. The first
//    run therefore stays until the index is written, for a bounded time; the next ones find it and wait for nothing.
// 3. jsii's banner on a Node.js past its end of life, eleven lines on every run, is silenced: it would hide the lines
//    that a user has to read, and which Node.js to run is the user's choice (source: @jsii/check-node).
"use strict";

const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");

const PACKAGES = ["@cdktf/provider-aws", "@cdktn/provider-aws"];
const LONGEST_WAIT_MS = 15_000;
const resolve = Module._resolveFilename;

process.env.JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION ??= process.versions.node.split(".")[0];

Module._resolveFilename = function (request, ...rest) {
  const eager = resolve.call(this, request, ...rest);
  if (!PACKAGES.includes(request)) {
    return eager;
  }
  letIndexBeWritten(fs.realpathSync(path.dirname(path.dirname(eager))));
  const lazy = path.join(path.dirname(eager), "lazy-index.js");
  if (path.basename(eager) === "index.js" && fs.existsSync(lazy)) {
    return lazy;
  }
  console.error(`Warning: ${request} has no lazy index: it is loaded whole, which takes seconds longer.`);
  return eager;
};

function letIndexBeWritten(packageFolder) {
  const worker = path.join(path.dirname(process.argv[1] ?? ""), "runtime-index-worker.js");
  const cached = fs.existsSync(path.join(packageFolder, ".jsii-runtime-package-cache"));
  if (!cached || !fs.existsSync(worker) || hasIndex(packageFolder)) {
    return;
  }
  // Node.js runs these handlers before it stops its worker threads; jsii's own one removes the folder that the
  // worker writes through, so this one goes before it.
  process.prependListener("exit", () => {
    const clock = new Int32Array(new SharedArrayBuffer(4));
    const deadline = Date.now() + LONGEST_WAIT_MS;
    while (!hasIndex(packageFolder) && Date.now() < deadline) {
      Atomics.wait(clock, 0, 0, 50);
    }
  });
}

function hasIndex(packageFolder) {
  return fs.readdirSync(packageFolder).some((name) => /^\.jsii\.runtime\.v\d+\.json$/.test(name));
}
