/**
 * Stores and forests opened by a `file:` URL object on a real disk: it is the same file as that of
 * its path, and the same lock. Which URLs name no file is in test/util/file-url.test.ts.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { codecs, Forest } from '../../src/forest/index.ts';
import { Store } from '../../src/index.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = makeTemporaryFolder();
  path = join(folder, 'new folder', '100% #1');
});
afterEach(() => removeTemporaryFolder(folder));

it('a store opens by the URL of its path', async () => {
  const store = await Store.open(pathToFileURL(path));
  expect(store.path).toBe(path);
  await expect(Store.open(path)).rejects.toMatchObject({ code: 'VARVE_LOCKED', path });
  await store.close();
  expect(fs.existsSync(path)).toBe(true);
  const reader = await Store.open(pathToFileURL(path), { readOnly: true });
  await reader.close();
});

it('a forest opens by the URL of its path', async () => {
  const spec = { key: codecs.utf8, value: codecs.utf8 };
  const forest = await Forest.open(pathToFileURL(path));
  await forest.tree('names', spec).put('ada', 'Lovelace');
  await forest.close();
  const again = await Forest.open(path);
  expect(again.tree('names', spec).get('ada')).toBe('Lovelace');
  await again.close();
});

it('an error names the path of the URL', async () => {
  const url = pathToFileURL(path);
  await expect(Store.open(url, { create: false })).rejects.toMatchObject({
    code: 'VARVE_NOT_FOUND',
    path,
  });
});
