/**
 * Writes the annotated values of three small real forests into `spec/forest.md`, between its
 * markers: `npm run spec`.
 *
 * The values are read by what the spec says, not by the code of the forest (`forest-values.ts`),
 * from the embedded header on. A test compares the dump with what stands in the spec.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { codecs, Forest, reducers } from '../src/forest/index.ts';
import type { GrainId } from '../src/index.ts';
import { compressed } from '../src/vault/index.ts';
import { ForestValues } from './forest-values.ts';

const begin = '<!-- forest dump: begin -->\n';
const end = '<!-- forest dump: end -->';

/** The text of the spec with the dump as it is now. */
export async function specWithForest(spec: string): Promise<string> {
  const from = spec.indexOf(begin) + begin.length;
  const to = spec.indexOf(end);
  if (from < begin.length || to < from) throw new Error('the spec has no markers for the forest');
  return `${spec.slice(0, from)}\n${await forestDump()}\n${spec.slice(to)}`;
}

async function forestDump(): Promise<string> {
  const parts = [await firstForest(), await secondForest(), await sealedForest()];
  return parts.join('\n');
}

/** One tree of one leaf, and a root that logs a change. */
async function firstForest(): Promise<string> {
  const forest = await Forest.inMemory();
  const years = forest.tree('years', { key: codecs.utf8, value: codecs.u32 });
  await forest.transaction((tx) => {
    tx.tree(years).put('ada', 1815);
    tx.tree(years).put('grace', 1906);
  });
  await years.put('alan', 1912);
  const dump = new ForestValues(forest.store);
  dump.say(
    'The code of this repository made the forest, without a vault. One transaction put `ada`, 1815',
    'and `grace`, 1906 into the tree `years` (`codecs.utf8` to `codecs.u32`). The next one put `alan`,',
    '1912: its root logs the change and writes no nodes. Each line has an offset in the value, the bytes',
    'there, the name of their field, and its value.',
  );
  const newest = dump.root('The newest root', dump.newestRoot);
  const first = dump.root('The earlier root', newest.earlier as GrainId);
  const [record] = dump.leaf('The only node of the catalog', first.catalog.id as GrainId);
  const title = 'The record of the tree, which is the value in that node';
  const tree = dump.record(title, present(record).value);
  dump.leaf('The only node of the tree', tree.entries.id as GrainId, { value: 4 });
  dump.say('', 'The log adds `alan` to it: the tree has three entries.', '');
  await forest.store.close();
  return dump.text();
}

const sumsEntries = 50;

/** A branch with reducer values, a long value, a history and a fork. */
async function secondForest(): Promise<string> {
  const forest = await Forest.inMemory({ nodeBytes: 500 });
  const sums = forest.tree('sums', {
    key: codecs.u32,
    value: codecs.f64,
    reducer: reducers.sum((_, value) => Number(value)),
  });
  const notes = forest.tree('notes', { key: codecs.utf8, value: codecs.utf8, versioned: true });
  await forest.transaction((tx) => {
    for (let key = 0; key < sumsEntries; key++) tx.tree(sums).put(key, 1);
    tx.tree(notes).put('long', 'x'.repeat(300));
    tx.tree(notes).put('short', 'y');
  });
  await forest.transaction((tx) => tx.fork('notes', 'draft'));
  const dump = new ForestValues(forest.store);
  dump.say(
    '## Branches, long values, histories and forks in hex',
    '',
    `This forest has nodes of 500 bytes. One transaction put ${sumsEntries} entries of value 1 into the tree \`sums\``,
    '(`codecs.u32` to `codecs.f64`, with the reducer `sum`). Into the versioned tree `notes` (`codecs.utf8`',
    'to `codecs.utf8`) it put 300 times `x` under `long`, and `y` under `short`. The next transaction forked',
    '`notes` to `draft`. 300 bytes are more than a quarter of a node and more than 256 bytes, so the value',
    'of `long` is stored by itself.',
  );
  const root = dump.root('A root with shares', dump.newestRoot);
  const records = dump.leaf('A leaf of the catalog', root.catalog.id as GrainId);
  const recordOf = (name: string): Uint8Array =>
    present(records.find(({ key }) => Buffer.from(key).toString() === name)).value;
  const noted = dump.record('The record of a versioned tree, `notes`', recordOf('notes'));
  dump.leaf('A leaf with a long value', noted.entries.id as GrainId);
  dump.say('', 'The word 33 means that the 16 bytes after the key name the value.');
  dump.leaf('A leaf of the history', noted.history?.id as GrainId);
  dump.say('', 'Both changes are puts. The history shares the long value with the entries.');
  dump.leaf('The shares', root.shares.id as GrainId, { key: 8, value: 8 });
  dump.say(
    '',
    'The keys are GrainIds, big-endian. The root nodes of the entries and of the history each have one',
    'referent besides the first. So has the long value: the leaf and the history name it.',
  );
  const summed = dump.record('The record of a tree with a reducer, `sums`', recordOf('sums'));
  dump.branch('A branch with reducer values', summed.entries.id as GrainId, 4);
  dump.say(
    '',
    'The reducer values are doubles, little-endian: the sums below each child. Keys and values have fixed',
    'lengths: the separators have no lengths, and after its head each leaf has only keys and values in turn.',
    '',
  );
  await forest.store.close();
  return dump.text();
}

/** A pushed value under a vault that shows what it seals. */
async function sealedForest(): Promise<string> {
  const forest = await withoutChance(() => Forest.inMemory({ vault: compressed() }));
  const id = await forest.transaction((tx) => tx.push(new TextEncoder().encode('A blob.')));
  const dump = new ForestValues(forest.store);
  dump.say(
    '## Sealed values in hex',
    '',
    'The vault is `deflate`. It stores short bytes unchanged after a byte 0, so they can be read here. One',
    'transaction pushed a value of 7 bytes.',
  );
  dump.sealedRoot('A sealed root', dump.newestRoot);
  dump.say(
    '',
    'After its first byte the body says: no catalog, no shares, next seal 16777220, nothing pending or',
    'written, depth 0.',
  );
  dump.pushed('A pushed value', id);
  dump.say('');
  await forest.store.close();
  return dump.text();
}

/** The numbers that a forest with a vault begins with are made by chance. */
async function withoutChance<T>(open: () => Promise<T>): Promise<T> {
  const { random } = Math;
  Math.random = () => 0;
  try {
    return await open();
  } finally {
    Math.random = random;
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the example has no such entry');
  return value;
}

const [, script, path] = argv;
if (script !== undefined && import.meta.url === pathToFileURL(script).href) {
  if (path === undefined) throw new Error('usage: forest-dump <the spec>');
  const spec = readFileSync(path, 'utf8');
  writeFileSync(path, await specWithForest(spec));
}
