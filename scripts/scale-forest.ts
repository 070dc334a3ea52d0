/**
 * `npm run scale:forest`: ten million entries of u64 to u64 with scattered keys are put into a tree,
 * found after reopening, as after a crash and after closing, scanned in order, counted in ranges
 * and verified, with the times and the memory.
 *
 * Run by hand (some minutes; `-- 1000000` for another number). Ends with an error where an entry is
 * not what was put, where the order or a count is wrong, or where `verify` finds something.
 */

import { join } from 'node:path';
import { withDiskFolder } from '../bench/support/disk-folder.ts';
import { bytesText, countText, mebibytesText, timeText } from '../bench/support/figures.ts';
import { codecs, Forest, type Tree } from '../src/forest/index.ts';

const entries = Number(process.argv[2] ?? 10_000_000);
const entriesPerTransaction = 100_000;
const samples = 1_000_000;
const options = { key: codecs.u64, value: codecs.u64 };

type Numbers = Tree<bigint, bigint, undefined>;

/** A key that no other number has: the steps of splitmix64, which can be undone. */
function keyOf(number: number): bigint {
  const mix = (value: bigint, shift: bigint, factor: bigint): bigint =>
    BigInt.asUintN(64, (value ^ (value >> shift)) * factor);
  const spread = BigInt.asUintN(64, BigInt(number) * 0x9e3779b97f4a7c15n);
  const mixed = mix(mix(spread, 30n, 0xbf58476d1ce4e5b9n), 27n, 0x94d049bb133111ebn);
  return mixed ^ (mixed >> 31n);
}

function timed(what: string, began: number, count: number): void {
  const milliseconds = performance.now() - began;
  const each = timeText(milliseconds / count);
  console.log(`${what}: ${(milliseconds / 1000).toFixed(1)} s, ${each} each`);
}

async function load(forest: Forest, tree: Numbers): Promise<void> {
  const began = performance.now();
  for (let from = 0; from < entries; from += entriesPerTransaction) {
    await forest.transaction((tx) => {
      const writing = tx.tree(tree);
      const to = Math.min(entries, from + entriesPerTransaction);
      for (let number = from; number < to; number++) writing.put(keyOf(number), BigInt(number));
    });
  }
  timed(`put, ${countText(entriesPerTransaction)} a transaction`, began, entries);
}

function sample(tree: Numbers): void {
  const began = performance.now();
  const count = Math.min(samples, entries);
  for (let at = 0; at < count; at++) {
    const number = (at * 7_919) % entries;
    if (tree.get(keyOf(number)) !== BigInt(number)) throw new Error(`entry ${number} is wrong`);
  }
  timed('get, at random', began, count);
}

function scan(tree: Numbers): void {
  const began = performance.now();
  let before = -1n;
  let count = 0;
  let sum = 0n;
  for (const [key, value] of tree.range()) {
    if (key <= before) throw new Error(`the key ${key} comes after ${before}`);
    before = key;
    sum += value;
    count += 1;
  }
  if (count !== entries) throw new Error(`${count} entries came back, not ${entries}`);
  const expected = (BigInt(entries) * BigInt(entries - 1)) / 2n;
  if (sum !== expected) throw new Error(`the values are ${sum} in sum, not ${expected}`);
  timed('scanned in order', began, entries);
  const half = 1n << 63n;
  const parts = tree.count({ lt: half }) + tree.count({ gte: half });
  if (parts !== entries) throw new Error(`two halves have ${parts} entries`);
}

async function verify(forest: Forest): Promise<void> {
  const began = performance.now();
  for await (const { message } of forest.verify()) throw new Error(message);
  timed('verified', began, entries);
}

/** Opens the forest and finds all entries. */
async function reopened(path: string, how: string): Promise<Forest> {
  const began = performance.now();
  const forest = await Forest.open(path);
  const { journalBytes } = forest.statistics();
  const count = forest.tree('numbers', options).count();
  if (count !== entries) throw new Error(`${count} entries ${how}`);
  const taken = timeText(performance.now() - began);
  console.log(`opened and counted ${how}: ${taken}, ${bytesText(journalBytes)} done again`);
  return forest;
}

await withDiskFolder('varve-forest-', async (folder) => {
  const path = join(folder, 'scale.varve');
  let forest = await Forest.open(path);
  await load(forest, forest.tree('numbers', options));
  const { fileBytes } = forest.store.statistics();
  console.log(
    `file while open: ${bytesText(fileBytes)}, ${(fileBytes / entries).toFixed(1)} B each`,
  );
  console.log(`resident: ${mebibytesText(process.memoryUsage().rss)}`);
  // As a crash leaves it: what waits in the journal is in no node.
  await forest.store.close();
  forest = await reopened(path, 'after a crash');
  await forest.close();
  forest = await reopened(path, 'after closing');
  const tree = forest.tree('numbers', options);
  sample(tree);
  scan(tree);
  await verify(forest);
  console.log(`resident: ${mebibytesText(process.memoryUsage().rss)}`);
  await forest.close();
});
