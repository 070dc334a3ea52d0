/**
 * The first things that anyone does with a store and a forest: make, commit, close, open again, read,
 * verify, and be refused. For runtimes.test.ts, which runs it on Node, Bun and Deno. Prints `sound`, or throws.
 *
 * Arguments: a folder. Runs the built library.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

/** @param {string} entry */
const load = (entry) => import(new URL(`../../dist/${entry}`, import.meta.url).href);
const { Store } = await load('index.js');
const { Forest, codecs } = await load('forest/index.js');

const folder = process.argv[2] ?? '';
const storePath = join(folder, 'new', 'store');
const forestPath = join(folder, 'forest');
const largeBytes = 3_000_000;

const store = await Store.open(storePath);
const small = await store.put(new Uint8Array(100).fill(7));
const large = await store.put(new Uint8Array(largeBytes).fill(9));
const session = store.session();
session.archive(small.id);
const last = session.push(new Uint8Array(5).fill(3));
const batch = session.commitSync();
await store.checkpointTo(batch);
await store.close();

const again = await Store.open(pathToFileURL(storePath), { create: false });
assert.equal(again.get(small.id), undefined);
assert.equal((await again.getAsync(large.id))?.length, largeBytes);
assert.deepEqual([...(again.get(last) ?? [])], [3, 3, 3, 3, 3]);
for await (const finding of again.verify({ deep: true })) assert.fail(JSON.stringify(finding));

/** @type {(path: string, options?: object) => Promise<{ code?: string; message: string }>} */
const refusal = (path, options) =>
  Store.open(path, options).then(
    () => assert.fail(`${path} was opened`),
    (/** @type {any} */ error) => error,
  );
const locked = await refusal(storePath);
assert.equal(locked.code, 'VARVE_LOCKED');
assert.match(locked.message, /by this process/);
assert.equal((await refusal(storePath, { exclusive: true })).code, 'VARVE_EXISTS');
assert.equal((await refusal(join(folder, 'none'), { create: false })).code, 'VARVE_NOT_FOUND');
assert.equal((await refusal(folder)).code, 'VARVE_NOT_A_STORE');
const below = await refusal(join(storePath, 'below'));
assert.equal(below.code, 'VARVE_IO');
assert.match(below.message, /ENOTDIR/);
await again.close();

const spec = { key: codecs.utf8, value: codecs.json() };
const forest = await Forest.open(forestPath);
await forest.transaction((/** @type {any} */ tx) => {
  for (let count = 0; count < 500; count += 1)
    tx.tree(forest.tree('t', spec)).put(`k${count}`, count);
});
await forest.close();
const reader = await Forest.open(forestPath, { readOnly: true });
assert.equal(reader.tree('t', spec).get('k123'), 123);
await reader.close();

console.log('sound');
