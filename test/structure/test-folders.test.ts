/**
 * Holds the folders of the tests to their rules: support imports nothing outside itself, no circle
 * of folders, no crowded folder.
 *
 * Invariant: each rule is shown to fail on made-up sources that break it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { SourceFile } from './source-text.ts';
import { checkTestFolders } from './test-folders.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/** A source that imports these. */
function source(path: string, ...imports: string[]): SourceFile {
  return { path, text: imports.map((one) => `import { a } from '${one}';\n`).join('') };
}

function shown(files: readonly SourceFile[]): string[] {
  return checkTestFolders(files).map(
    ({ rule, path, line, message }) => `${path}:${line} [${rule}] ${message}`,
  );
}

describe('the folders of the tests', () => {
  const files = readdirSync(join(repository, 'test'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(?:ts|mjs)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({
      path: relative(repository, file).split(sep).join('/'),
      text: readFileSync(file, 'utf8'),
    }));

  it('keep every rule', () => {
    expect(files.length).toBeGreaterThan(200);
    expect(shown(files)).toEqual([]);
  });
});

describe('the rules for the folders of the tests', () => {
  it('let support import itself and the sources', () => {
    expect(
      shown([
        source('test/support/disks/disk.ts', '../bytes.ts', '../../../src/index.ts'),
        source('test/crash/cut.test.ts', '../support/disks/disk.ts', './fates.ts'),
      ]),
    ).toEqual([]);
  });

  it('see that support imports a test', () => {
    expect(shown([source('test/support/disk.ts', './bytes.ts', '../crash/life.ts')])).toEqual([
      'test/support/disk.ts:2 [support] imports test/crash/life.ts: support is below all other tests',
    ]);
  });

  it('see a circle of three folders through different files', () => {
    const files = [
      source('test/a/one.ts', '../b/one.ts'),
      source('test/b/two.ts', '../b/c/one.ts'),
      source('test/b/c/two.ts', '../../a/two.ts'),
    ];
    expect(shown(files)).toEqual([
      'test/b/c/two.ts:1 [folders] test/a -> test/b -> test/b/c -> test/a',
    ]);
  });

  it('see that a file has more than 400 lines', () => {
    const long = (count: number): SourceFile => ({ path: 'test/a.ts', text: ';\n'.repeat(count) });
    expect(shown([long(400)])).toEqual([]);
    expect(shown([long(401)])).toEqual(['test/a.ts:401 [lines] 401 lines, at most 400']);
  });

  it.each([
    ['test/crash', 20],
    ['test/support/disks', 14],
  ])('see that %s has more than %i files', (folder, most) => {
    const files = Array.from({ length: most + 1 }, (_, at) => source(`${folder}/f${at}.ts`));
    expect(shown(files.slice(1))).toEqual([]);
    expect(shown(files)).toEqual([`${folder}:1 [rooms] ${most + 1} files, at most ${most}`]);
  });
});
