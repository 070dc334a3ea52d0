/**
 * A process that counts what the calls of a store allocate, for allocations.test.ts: bytes of heap,
 * and of buffers besides, for each call. It is to be started with room for so many young objects
 * that nothing is collected, else the counts would be short: `collections` says how often that was.
 *
 * Says one line of JSON. Runs the built library, for Node 20 runs no TypeScript.
 *
 * @typedef {import('./allocated.ts').Allocated} Allocated
 */

import diagnostics from 'node:diagnostics_channel';
import { PerformanceObserver } from 'node:perf_hooks';
import process from 'node:process';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** @type {typeof import('../../src/index.ts')} */
const { memoryFileSystem, Store } = await import(
  new URL('../../dist/index.js', import.meta.url).href
);

const valueCount = 10_000;
const valuesOfSession = 1000;
const warmUps = 12;
const value = new Uint8Array(100).fill(7);

let collections = 0;
const observer = new PerformanceObserver((list) => {
  collections += list.getEntries().length;
});

/**
 * What each of `count` calls allocates.
 * @param {number} count
 * @param {(at: number) => unknown} call
 * @returns {Allocated}
 */
function measured(count, call) {
  const before = process.memoryUsage();
  for (let at = 0; at < count; at += 1) call(at);
  const after = process.memoryUsage();
  return {
    heap: (after.heapUsed - before.heapUsed) / count,
    buffers: (after.arrayBuffers - before.arrayBuffers) / count,
  };
}

/**
 * The middle one of several measures, by their heap: what the runtime compiles meanwhile counts too.
 * @param {() => Allocated} measure
 * @returns {Allocated}
 */
function settled(measure) {
  for (let time = 0; time < warmUps; time += 1) measure();
  const all = Array.from({ length: 9 }, measure).sort((one, other) => one.heap - other.heap);
  const [middle] = all.slice(4);
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}

const store = await Store.open('store', { fileSystem: memoryFileSystem() });
/** @type {import('../../src/index.ts').GrainId[]} */
const ids = [];
while (ids.length < valueCount) {
  const session = store.session();
  for (let at = 0; at < valuesOfSession; at += 1) ids.push(session.push(value));
  session.commitSync();
}

const [first] = ids;
if (first === undefined) throw new Error('there is no value');
let bytes = 0;
observer.observe({ entryTypes: ['gc'] });
const told = {
  nothing: settled(() => measured(valueCount, () => undefined)),
  get: settled(() =>
    measured(valueCount, (at) => {
      bytes += store.get(ids[at] ?? first)?.length ?? 0;
    }),
  ),
  has: settled(() => measured(valueCount, (at) => store.has(ids[at] ?? first))),
  lengthOf: settled(() => measured(valueCount, (at) => store.lengthOf(ids[at] ?? first))),
  push: settled(() => {
    const session = store.session();
    const pushed = measured(valuesOfSession, () => session.push(value));
    session.abandon();
    return pushed;
  }),
};
await nextTurn();
await nextTurn();
observer.disconnect();
// The file in memory grows meanwhile, for which something may be collected, once.
const measureCommits = () =>
  settled(() =>
    measured(200, () => {
      const session = store.session();
      session.push(value);
      session.commitSync();
    }),
  );
const commit = measureCommits();
let messages = 0;
const subscriber = () => {
  messages += 1;
};
diagnostics.subscribe('varve:commit', subscriber);
const watchedCommit = measureCommits();
diagnostics.unsubscribe('varve:commit', subscriber);
const commitAfter = measureCommits();
await store.close();
const commits = { commit, watchedCommit, commitAfter };
process.stdout.write(`${JSON.stringify({ ...told, ...commits, messages, bytes, collections })}\n`);
