/**
 * A process, or a thread of one, that waits for the lock of a store, for lock-wait.test.ts. It says
 * `refused` when the lock was refused for the first time, then `held <batch>`, or what the opening
 * rejected with.
 *
 * Arguments: the path, and how long it waits. It commits a value once it has the store, and lets go
 * of it when its stdin says so or ends. Runs the built library, for Node 20 runs no TypeScript.
 */

import process from 'node:process';
import { createInterface } from 'node:readline';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

/** @type {typeof import('../../../src/index.ts')} */
const { nodeFileSystem, Store } = await import(
  new URL('../../../dist/index.js', import.meta.url).href
);
const [path = '', milliseconds] = isMainThread ? process.argv.slice(2) : workerData;

/** @param {string} line */
function say(line) {
  if (isMainThread) console.log(line);
  else parentPort?.postMessage(line);
}

let isRefused = false;
/** @type {import('../../../src/index.ts').FileSystem} */
const fileSystem = {
  async open(name, options) {
    try {
      return await nodeFileSystem.open(name, options);
    } catch (error) {
      if (!isRefused) say('refused');
      isRefused = true;
      throw error;
    }
  },
};

try {
  const store = await Store.open(path, { fileSystem, waitForLockMs: Number(milliseconds) });
  say(`held ${(await store.put(new Uint8Array(100))).batch}`);
  if (isMainThread) for await (const _ of createInterface({ input: process.stdin })) break;
  await store.close();
  say('closed');
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
}
if (isMainThread) process.exit();
