/**
 * What a call allocates, in bytes of heap and of buffers: for a `get` a view and its share of a slab,
 * for a `push` what the session keeps of the value. A change that makes a call allocate twice as
 * much fails.
 *
 * It is counted in a process of its own (`allocating.mjs`) in which nothing is collected, so what the
 * heap has grown by is what was allocated. That depends on the runtime's object layouts and on what
 * it optimises away once calls are warm, not on how fast the machine is.
 */

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import type { Told } from './allocated.ts';

const script = fileURLToPath(new URL('./allocating.mjs', import.meta.url));
/** MiB for young objects: nothing is collected before they are used up. */
const young = 256;
const flags = [
  // What is compiled, and when, then follows from the calls alone.
  '--single-threaded',
  `--min-semi-space-size=${young}`,
  `--max-semi-space-size=${young}`,
];

let told: Told;

beforeAll(() => {
  told = JSON.parse(execFileSync(process.execPath, [...flags, script], { encoding: 'utf8' }));
  const shown = Object.entries(told).map(([call, one]) =>
    typeof one === 'number' ? '' : `${call} ${one.heap.toFixed(0)}+${one.buffers.toFixed(0)}`,
  );
  console.log(`bytes of heap and of buffers: ${shown.filter((text) => text !== '').join(', ')}`);
});

it('nothing is collected while it is counted, and a call that does nothing allocates nothing', () => {
  expect(told.collections).toBe(0);
  expect(told.nothing.heap).toBeLessThan(1);
  expect(told.bytes).toBe(21 * 10_000 * 100);
});

// Bounds: what was counted with Node 20, and about a third more. Twice as much is too much.

it('a get of 100 bytes that are in memory allocates their view and its share of a slab', () => {
  // Counted: 193, of which the view with its fields is 104; and the bytes, rounded up, are 104.
  expect(told.get.heap).toBeLessThan(256);
  expect(told.get.buffers).toBeLessThan(128);
});

it('has and lengthOf allocate no buffers', () => {
  // Counted: 264 and 360.
  expect(told.has.heap).toBeLessThan(350);
  expect(told.lengthOf.heap).toBeLessThan(480);
  expect(told.has.buffers + told.lengthOf.buffers).toBe(0);
});

it('a push of 100 bytes allocates only what the session keeps, and no memory of its own', () => {
  // Counted: 450.
  expect(told.push.heap).toBeLessThan(600);
  expect(told.push.buffers).toBe(0);
});

it('a commit of one value allocates a small, fixed number of bytes', () => {
  // Counted: 6,900.
  expect(told.commit.heap).toBeLessThan(9200);
});

it('a subscriber to commits costs a message for each, and nothing once it has left', () => {
  // Counted: 6,900 before, 7,100 to 7,900 with a subscriber, 5,900 to 6,200 after it.
  expect(told.messages).toBe(21 * 200);
  expect(told.watchedCommit.heap).toBeLessThan(10_500);
  expect(told.commitAfter.heap).toBeLessThan(told.commit.heap);
  expect(told.commitAfter.heap).toBeLessThan(told.watchedCommit.heap - 500);
});
