/**
 * The examples in documents compile under `strict` and run, against the package as it is built:
 * those of the README as they stand, twice in the same folder; those of docs/operating.md on a store
 * that is open already.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../support/temporary-folder.ts';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

function examplesOf(document: string): string[] {
  const text = readFileSync(join(repository, document), 'utf8');
  return [...text.matchAll(/```(?:js|ts)\n([\s\S]*?)```/g)].map(([, example]) => example ?? '');
}

const examples = examplesOf('README.md');
/** What each example prints, in the order of the README. */
const printed = ['hello\n', '29\n', '', 'ada { born: 1815 }\n', '28\n'];

/** In front of each example for operators: a store of which most values were freed, at random. */
const before = `
import { codecs, Forest, salvageForest } from 'varve/forest';
import { salvage, Store } from 'varve';
const forest = await Forest.on(await Store.open('data/app.varve'));
const store = forest.store;
const kept = [];
for (let round = 0; round < 20; round++) {
  const filling = store.session();
  const ids = Array.from({ length: 50 }, (_, at) => filling.push(new Uint8Array(2000 + at)));
  await filling.commit();
  const emptying = store.session();
  for (const [at, id] of ids.entries()) {
    if (at % 10 > 0) emptying.archive(id);
    else kept.push(id);
  }
  await emptying.commit();
}
await store.checkpointTo(store.currentBatch);
await forest.tree('t').put(new Uint8Array(1), new Uint8Array(1));
const blobs = forest.tree('blobs', { key: codecs.u32, value: codecs.u64 });
const keysById = forest.tree('keys by id', { key: codecs.u64, value: codecs.u32 });
{
`;
/** Behind it: everything is sound. Only values that the example has pushed again have other ids. */
const behind = `
}
for await (const { message } of forest.verify({ deep: true })) console.log(message);
if (kept.some((id) => !store.has(id))) console.log('values have other ids');
await forest.close();
await store.close();
`;
const operating = examplesOf('docs/operating.md').map((text) => `${before}${text}${behind}`);
/** Numbers are left out. */
const printedByOperating = [
  '',
  '# #\n',
  'values have other ids\n',
  '# #\n',
  '',
  't # # #\n# #\n',
  '',
  '# #\n',
  't # []\n',
];

let folder: string;
beforeEach(() => {
  folder = makeTemporaryFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(repository, join(folder, 'node_modules', 'varve'), 'junction');
  for (const [at, text] of [...examples, ...operating].entries()) {
    writeFileSync(join(folder, `example-${at}.mjs`), text);
    writeFileSync(join(folder, `example-${at}.mts`), text);
  }
});
afterEach(() => removeTemporaryFolder(folder));

function run(...args: string[]): string {
  return execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
}

it('each example prints the expected output, also the second time', () => {
  expect(examples.length).toBe(printed.length);
  for (const time of ['first', 'second']) {
    for (const [at, text] of printed.entries()) {
      expect([time, at, run(`example-${at}.mjs`)]).toEqual([time, at, text]);
    }
  }
});

it('each example for operators runs on an open store, and leaves it sound', () => {
  expect(operating.length).toBe(printedByOperating.length);
  for (const [at, text] of printedByOperating.entries()) {
    const told = run(`example-${examples.length + at}.mjs`).replace(/\d+/g, '#');
    expect([at, told]).toEqual([at, text]);
    rmSync(join(folder, 'data'), { recursive: true });
  }
});

it('each example compiles under strict', () => {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'ES2022',
    module: 'NodeNext',
    types: ['node'],
    typeRoots: [join(repository, 'node_modules', '@types')],
  };
  const config = {
    compilerOptions,
    files: [...examples, ...operating].map((_, at) => `example-${at}.mts`),
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(repository, 'node_modules', 'typescript', 'bin', 'tsc');
  let told = '';
  try {
    told = run(tsc, '-p', 'tsconfig.json');
  } catch (error) {
    told = String((error as { stdout: unknown }).stdout);
  }
  expect(told).toBe('');
});
