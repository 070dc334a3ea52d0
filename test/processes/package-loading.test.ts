/**
 * What a process loads: few files and no further module of Node when it imports an entry of the
 * built package, and the addon without the modules that search for it. All that is built is used.
 *
 * Counts stand for time here: each file costs half a millisecond, and some built-in modules cost more.
 * `npm run bench -- import` measures the time.
 */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const dist = join(repository, 'dist');
const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string; default: string }>;
};
const entries = Object.values(manifest.exports).filter((target) => typeof target !== 'string');
const scripts = entries.map((entry) => join(repository, entry.default));

let folder: string;
beforeAll(() => {
  folder = makeTemporaryFolder();
});
afterAll(() => removeTemporaryFolder(folder));

/** Runs a program as a module in a new process; what it prints is JSON. */
function answerOf<T>(program: string, options: readonly string[] = []): T {
  const args = [...options, '--input-type=module', '-e', program];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as T;
}

interface Imports {
  readonly path: string;
  /** Loaded with it. */
  readonly static: readonly string[];
  readonly lazy: readonly string[];
}

/** The build writes an import as one statement to a line, or with a line for each name. */
function importsOf(path: string): Imports {
  const code = readFileSync(path, 'utf8');
  const found = (pattern: RegExp): string[] =>
    [...code.matchAll(pattern)].map(([, specifier = '']) =>
      specifier.startsWith('.') ? join(dirname(path), specifier) : specifier,
    );
  return {
    path,
    static: found(/^(?:import|export|\}) ?(?:[^;'"]* from )?["']([^"']+)["'];$/gm),
    lazy: found(/\bimport\(["']([^"']+)["']\)/g),
  };
}

/** All files of dist/ that importing `entry` loads, itself first. */
function loadedWith(entry: string): Imports[] {
  const loaded = new Map([[entry, importsOf(entry)]]);
  for (const one of loaded.values()) {
    for (const path of one.static.filter((name) => name.startsWith(dist))) {
      if (!loaded.has(path)) loaded.set(path, importsOf(path));
    }
  }
  return [...loaded.values()];
}

describe('the built package', () => {
  it.each(scripts)('loads few files when %s is imported', (entry) => {
    expect(loadedWith(entry).length).toBeLessThanOrEqual(4);
  });

  it('imports no other package, except the addon when a file is opened', () => {
    const loaded = scripts.flatMap(loadedWith);
    const isPackage = (name: string) => !name.startsWith(dist) && !name.startsWith('node:');
    expect(loaded.flatMap((one) => one.static).filter(isPackage)).toEqual([]);
    const lazy = new Set(loaded.flatMap((one) => one.lazy));
    expect([...lazy].sort()).toEqual(['fs-native-extensions', 'node:crypto']);
  });

  it('has no file that no entry leads to', () => {
    const names = readdirSync(dist, { recursive: true, encoding: 'utf8' });
    const ending = (end: string) => names.filter((name) => name.endsWith(end)).sort();
    const paths = scripts.flatMap(loadedWith).map(({ path }) => path.slice(dist.length + 1));
    expect(ending('.js')).toEqual([...new Set(paths)].sort());
    const declarations = new Set(entries.map(({ types }) => join(repository, types)));
    for (const path of declarations) {
      for (const [, target = ''] of readFileSync(path, 'utf8').matchAll(/'(\.{1,2}\/[^']+)\.ts'/g))
        declarations.add(join(dirname(path), `${target}.d.ts`));
    }
    const declared = [...declarations].map((path) => path.slice(dist.length + 1));
    expect(ending('.d.ts')).toEqual(declared.sort());
    const maps = [...ending('.js'), ...ending('.d.ts')].map((name) => `${name}.map`);
    expect(ending('.map')).toEqual(maps.sort());
  });

  it('has the names of src/ for its classes', async () => {
    const names = await Promise.all(
      scripts.map(async (entry) => {
        const library = (await import(pathToFileURL(entry).href)) as Record<string, unknown>;
        const isClass = ([, value]: [string, unknown]) => /^class\b/.test(String(value));
        return Object.entries(library)
          .filter(isClass)
          .map(([name, value]) => [name, (value as { name: string }).name]);
      }),
    );
    const all = names.flat();
    expect(all.map(([exported]) => exported).sort()).toEqual([
      'Forest',
      'Session',
      'Store',
      'VarveError',
    ]);
    expect(all.filter(([exported, own]) => exported !== own)).toEqual([]);
  });

  it('names the licence of each package that is a part of it', () => {
    const licences = readFileSync(join(dist, 'licences.txt'), 'utf8');
    const sources = readdirSync(dist, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.js.map'))
      .flatMap((name) => JSON.parse(readFileSync(join(dist, name), 'utf8')).sources as string[]);
    const parts = new Set(
      sources.flatMap((source) => /\/node_modules\/([^/]+)/.exec(source)?.[1] ?? []),
    );
    expect([...parts].sort()).toEqual(['async-mutex', 'crc-32']);
    for (const name of parts) expect(licences).toMatch(new RegExp(`^${name} \\d`, 'm'));
  });
});

describe('importing', () => {
  function builtinsAfter(url: string): string[] {
    return answerOf(`
      await import(${JSON.stringify(url)});
      console.log(JSON.stringify(process.moduleLoadList));`);
  }

  it.each(['index.js', 'forest/index.js'])('%s loads no built-in module of Node', (entry) => {
    const empty = join(folder, 'empty.mjs');
    writeFileSync(empty, '');
    const before = new Set(builtinsAfter(pathToFileURL(empty).href));
    const after = builtinsAfter(pathToFileURL(join(dist, entry)).href);
    expect(after.filter((name) => !before.has(name))).toEqual([]);
  });

  it.each(['index.js', 'forest/index.js'])('%s works where there is no Node', (entry) => {
    // The process is hidden from the library, not from the loader that reads its files.
    const url = JSON.stringify(pathToFileURL(join(dist, entry)).href);
    const [names, code] = answerOf<[string[], string]>(`
      const { process } = globalThis;
      delete globalThis.process;
      const library = await import(${url});
      const { memoryFileSystem, Store } = await import(${JSON.stringify(pathToFileURL(join(dist, 'index.js')).href)});
      const store = await Store.open('a', { fileSystem: memoryFileSystem() });
      const { id } = await store.put(new Uint8Array(5000));
      await store.close();
      const error = await Store.open('a').catch((error) => error);
      globalThis.process = process;
      console.log(JSON.stringify([Object.keys(library), error.cause?.code]));`);
    expect(names.length).toBeGreaterThan(2);
    expect(code).toBe('ENOTSUP');
  });
});

describe('the first opening of a file', () => {
  /** The modules of CommonJS that were loaded, below the innermost node_modules/. */
  function commonModulesAfterOpening(
    library: string,
    options: readonly string[] = [],
    readOnly = false,
  ): string[] {
    const path = join(folder, 'opened.varve');
    const paths = answerOf<string[]>(
      `
      import { createRequire } from 'node:module';
      const { Store } = await import(${JSON.stringify(pathToFileURL(library).href)});
      await (await Store.open(${JSON.stringify(path)}, { readOnly: ${readOnly} })).close();
      console.log(JSON.stringify(Object.keys(createRequire(import.meta.url + '/x.js').cache)));`,
      options,
    );
    return paths.map((each) => each.split(/[\\/]node_modules[\\/]/).at(-1) ?? '');
  }

  it('loads the addon, and not the modules that search for it', () => {
    const names = commonModulesAfterOpening(join(dist, 'index.js'));
    expect(names.filter((name) => name.endsWith('.node'))).toHaveLength(1);
    expect(names.filter((name) => !name.startsWith('fs-native-extensions'))).toEqual([
      expect.stringMatching(/^which-runtime/),
    ]);
  });

  it('loads no addon for a reader, which takes no lock', () => {
    commonModulesAfterOpening(join(dist, 'index.js'));
    expect(commonModulesAfterOpening(join(dist, 'index.js'), [], true)).toEqual([]);
  });

  it('lets the package search if the binary is not at its usual place', () => {
    const modules = join(folder, 'installed', 'node_modules');
    cpSync(dist, join(modules, 'varve', 'dist'), { recursive: true });
    cpSync(join(repository, 'package.json'), join(modules, 'varve', 'package.json'));
    const addon = join(modules, 'fs-native-extensions');
    mkdirSync(addon);
    writeFileSync(join(addon, 'package.json'), '{ "main": "index.js" }');
    writeFileSync(
      join(addon, 'index.js'),
      "require('./search.js'); exports.tryLock = () => true; exports.unlock = () => {};",
    );
    writeFileSync(join(addon, 'search.js'), '');
    const names = commonModulesAfterOpening(join(modules, 'varve', 'dist', 'index.js'));
    expect(names).toContain(join('fs-native-extensions', 'search.js'));
  });

  it('takes no addon from the folders above a bundle', async () => {
    for (const name of ['fs-native-extensions', 'which-runtime']) {
      const from = join(repository, 'node_modules', name);
      cpSync(from, join(folder, 'bundled', 'node_modules', name), { recursive: true });
    }
    const outfile = join(folder, 'bundled', 'bundle', 'index.mjs');
    const source = join(dist, 'index.js');
    await build({ entryPoints: [source], bundle: true, platform: 'node', format: 'esm', outfile });
    expect(commonModulesAfterOpening(outfile)).toEqual([]);
  });

  it('works with addons switched off', () => {
    const names = commonModulesAfterOpening(join(dist, 'index.js'), ['--no-addons']);
    expect(names.filter((name) => name.endsWith('.node'))).toEqual([]);
  });
});
