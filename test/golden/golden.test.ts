/**
 * The golden files: a small store and a small forest of each format version, closed and left as a
 * killed process leaves them, as the code of that version wrote them.
 *
 * Invariant: a golden file is made once and never written again. Those of the current version open
 * and read as written; those of an older one are refused. A change of the format that forgets to
 * raise the version fails here. `npm run golden` makes the files of a new version.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { codecs, Forest, reducers } from '../../src/forest/index.ts';
import { formatVersion } from '../../src/format/layout.ts';
import { type FileSystem, GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { check, contentOf, overwrite } from '../support/fixtures/store-checks.ts';

const path = 'golden.varve';
/** Of the roots that a forest writes now. */
const forestVersion = 4;
const makes = process.env['VARVE_GOLDEN'] === 'make';

/** Empty, one grain, several, many, a map with places of its own. */
const lengths = [0, 1, 50, 4000, 20_000, 300_000];
const manyLength = (at: number): number => 20 + (at % 30);
/** Of the many: so many are freed, and from there on so many archived. */
const freed = 100;
const archived = 150;
const many = 500;
/** The values of the last batch, which its record carries. */
const carried = [30, 60];

/** What a store's golden file has beside it: the ids of its values. */
interface Ids {
  readonly root: string;
  readonly ids: readonly string[];
}

function fileOf(name: string): string {
  return fileURLToPath(new URL(`./${name}`, import.meta.url));
}

async function fillStore(fileSystem: FileSystem): Promise<{ store: Store; told: Ids }> {
  const store = await Store.open(path, { fileSystem });
  let session = store.session();
  const ids = lengths.map((length) => session.push(patternOf(length, length)));
  const root = ids[2] as GrainId;
  session.setEmbeddedHeader(root);
  await session.commit();
  session = store.session();
  for (let at = 0; at < many; at++) ids.push(session.push(patternOf(manyLength(at), at)));
  await session.commit();
  session = store.session();
  for (const id of ids.slice(lengths.length, lengths.length + freed)) session.archive(id);
  await store.checkpointTo(await session.commit());
  session = store.session();
  for (const id of ids.slice(lengths.length + freed, lengths.length + archived)) {
    session.archive(id);
  }
  await session.commit();
  session = store.session();
  for (const length of carried) ids.push(session.push(patternOf(length, length)));
  await session.commit();
  const told = { root: GrainId.format(root), ids: ids.map((id) => GrainId.format(id)) };
  return { store, told };
}

function treesOf(forest: Forest) {
  const reducer = reducers.sum((_: number, value: number) => value);
  const notes = { key: codecs.utf8, value: codecs.utf8, versioned: true };
  return {
    people: forest.tree('people', { key: codecs.utf8, value: codecs.json() }),
    sums: forest.tree('sums', { key: codecs.u32, value: codecs.f64, reducer }),
    notes: forest.tree('notes', notes),
    draft: forest.tree('draft', notes),
  };
}

async function fillForest(fileSystem: FileSystem): Promise<Forest> {
  const forest = await Forest.open(path, { fileSystem, nodeBytes: 512 });
  const { people, sums, notes } = treesOf(forest);
  await forest.transaction((tx) => {
    tx.tree(people).put('ada', { born: 1815 });
    for (let key = 0; key < 400; key++) tx.tree(sums).put(key, key / 2);
    tx.tree(notes).put('long', 'x'.repeat(3000));
    tx.tree(notes).put('short', 'y');
  });
  await forest.transaction((tx) => tx.fork('notes', 'draft'));
  await notes.put('short', 'z');
  await notes.delete('long');
  return forest;
}

/** Makes a file that is not there yet; most of its bytes are zeros. */
async function make(
  name: string,
  fill: (fileSystem: FileSystem) => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  for (const closed of [true, false]) {
    const file = fileOf(`${name}${closed ? '' : '-unclosed'}.gz`);
    if (existsSync(file)) continue;
    const fileSystem = memoryFileSystem();
    const opened = await fill(fileSystem);
    if (closed) await opened.close();
    writeFileSync(file, gzipSync(await contentOf(fileSystem, path), { level: 9 }));
  }
}

async function golden(name: string): Promise<FileSystem> {
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, gunzipSync(readFileSync(fileOf(`${name}.gz`))), 0, path);
  return fileSystem;
}

function expectStore(store: Store, { root, ids }: Ids): void {
  expect(store.embeddedHeader).toBe(GrainId.parse(root));
  expect(ids.length).toBe(lengths.length + many + carried.length);
  for (const [at, text] of ids.entries()) {
    const id = GrainId.parse(text);
    const bytes = store.get(id);
    const rank = at - lengths.length;
    if (rank >= 0 && rank < freed) {
      expect(bytes).toBe(undefined);
      continue;
    }
    const length = lengths[at] ?? carried[rank - many];
    const expected = length === undefined ? patternOf(manyLength(rank), rank) : undefined;
    expectSameBytes(bytes as Uint8Array, expected ?? patternOf(length as number, length));
  }
  expect(store.statistics()).toMatchObject({
    values: ids.length - freed,
    archivedValues: archived - freed,
  });
  expect([store.currentBatch, store.checkpoint]).toEqual([6, 3]);
}

function expectForest(forest: Forest): void {
  const { people, sums, notes, draft } = treesOf(forest);
  expect([...forest.names()].sort()).toEqual(['draft', 'notes', 'people', 'sums']);
  expect([...people.range()]).toEqual([['ada', { born: 1815 }]]);
  expect([...sums.values()]).toEqual(Array.from({ length: 400 }, (_, key) => key / 2));
  expect(sums.reduce({ gte: 100, lt: 200 })).toBe((100 * (100 + 199)) / 4);
  expect([...notes.range()]).toEqual([['short', 'z']]);
  expect([...draft.range()]).toEqual([
    ['long', 'x'.repeat(3000)],
    ['short', 'y'],
  ]);
  expect([...notes.changes()].map(({ key, value }) => [key, value?.length])).toEqual([
    ['long', 3000],
    ['short', 1],
    ['short', 1],
    ['long', undefined],
  ]);
}

it.runIf(makes)('makes the golden files of the current versions', async () => {
  const ids = fileOf(`store-${formatVersion}.json`);
  await make(`store-${formatVersion}`, async (fileSystem) => {
    const { store, told } = await fillStore(fileSystem);
    if (!existsSync(ids)) writeFileSync(ids, `${JSON.stringify(told)}\n`);
    return store;
  });
  await make(`forest-${formatVersion}-${forestVersion}`, fillForest);
});

it('a file of an older version is refused, of a store and of a forest', async () => {
  const files = readdirSync(fileOf('.')).flatMap((file) => {
    const [, name = '', version] = /^((?:store|forest)-(\d+).*)\.gz$/.exec(file) ?? [];
    return name === '' ? [] : [{ name, version: Number(version) }];
  });
  const older = files.filter(({ version }) => version !== formatVersion);
  expect(files.length - older.length).toBe(4);
  expect(older.length).toBeGreaterThan(4);
  for (const { name } of older) {
    const fileSystem = await golden(name);
    await check.rejects('VARVE_UNSUPPORTED_VERSION', () => Store.open(path, { fileSystem }));
    await check.rejects('VARVE_UNSUPPORTED_VERSION', () => Forest.open(path, { fileSystem }));
  }
});

describe.each(['', '-unclosed'])('a store of the current version%s', (ending) => {
  const name = `store-${formatVersion}`;

  it.each([true, false])('reads as it was written, read-only: %s', async (readOnly) => {
    const fileSystem = await golden(name + ending);
    const told = JSON.parse(readFileSync(fileOf(`${name}.json`), 'utf8')) as Ids;
    const store = await Store.open(path, { fileSystem, readOnly });
    expect(store.recovery).toMatchObject({ clean: ending === '', healed: [] });
    expectStore(store, told);
    await check.sound(store);
    await store.close();
  });

  it('accepts further commits', async () => {
    const fileSystem = await golden(name + ending);
    let store = await Store.open(path, { fileSystem });
    const { id } = await store.put(patternOf(70));
    await store.checkpointTo(store.currentBatch);
    await store.close();
    store = await Store.open(path, { fileSystem });
    expectSameBytes(store.get(id) as Uint8Array, patternOf(70));
    await check.sound(store);
    await store.close();
  });
});

describe.each(['', '-unclosed'])('a forest of the current version%s', (ending) => {
  const name = `forest-${formatVersion}-${forestVersion}`;

  it.each([true, false])('reads as it was written, read-only: %s', async (readOnly) => {
    const fileSystem = await golden(name + ending);
    const forest = await Forest.open(path, { fileSystem, readOnly });
    expectForest(forest);
    for await (const { message } of forest.verify({ deep: true })) expect(message).toBe(undefined);
    await forest.close();
  });

  it('accepts further commits', async () => {
    const fileSystem = await golden(name + ending);
    let forest = await Forest.open(path, { fileSystem });
    await treesOf(forest).sums.put(1000, 1);
    await forest.close();
    forest = await Forest.open(path, { fileSystem });
    expect(treesOf(forest).sums.count()).toBe(401);
    await forest.close();
  });
});
