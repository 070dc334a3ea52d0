/**
 * The examples of the README compile under `strict` and run, twice in the same folder, as they
 * stand, against the package as it is built.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../support/temporary-folder.ts';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const readme = readFileSync(join(repository, 'README.md'), 'utf8');
const examples = [...readme.matchAll(/```(?:js|ts)\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');

/** What each example prints, in the order of the README. */
const printed = ['hello\n', '29\n', '', 'ada { born: 1815 }\n', '28\n'];

let folder: string;
beforeEach(() => {
  folder = makeTemporaryFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(repository, join(folder, 'node_modules', 'varve'), 'junction');
  for (const [at, text] of examples.entries()) {
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

it('each example compiles under strict', () => {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'ES2022',
    module: 'NodeNext',
    types: ['node'],
    typeRoots: [join(repository, 'node_modules', '@types')],
  };
  const config = { compilerOptions, files: examples.map((_, at) => `example-${at}.mts`) };
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
