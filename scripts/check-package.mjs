/**
 * Packs the package as it would be published, installs it in a temporary folder, and uses it there
 * as a stranger would: imports it, stores a value with and without the optional native addon, and
 * compiles against its types with and without Node's. Also runs publint and attw on the tarball.
 *
 * It needs a build in dist/ (`npm run check:package` makes one) and leaves nothing behind. It does
 * not test what the library does; the tests do.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('..', import.meta.url));
const tools = join(repository, 'node_modules');

/** What a reader of the tarball must find in it. */
const filesRequired = [
  'LICENSE',
  'README.md',
  'package.json',
  'dist/index.js',
  'dist/index.d.ts',
  'spec/format.md',
  'spec/format.ksy',
  'spec/forest.md',
  'dist/forest/index.js',
  'dist/vault/index.js',
  'dist/licences.txt',
  'src/index.ts',
];
const filesExpected =
  /^(?:dist|src)\/|^spec\/(?:format\.(?:md|ksy)|forest\.md)$|^(?:LICENSE|README\.md|package\.json)$/;

const program = `
import { Store } from 'varve';
import { codecs, Forest } from 'varve/forest';
import { aesGcm } from 'varve/vault';
console.log(\`typeof Store: \${typeof Store}\`);
const path = process.argv[2];
const store = await Store.open(path);
const { id } = await store.put(new Uint8Array([1, 2, 3]));
await store.close();
const again = await Store.open(path, { create: false });
console.log(\`stored and read back: \${again.get(id)}\`);
await again.close();
const forest = await Forest.open(\`\${path}.forest\`, { vault: aesGcm({ key: new Uint8Array(32) }) });
const tree = forest.tree('words', { key: codecs.utf8, value: codecs.json() });
await tree.put('a', [1, 2]);
console.log(\`put and got: \${tree.get('a')}\`);
await forest.close();
`;

const typedProgram = `
import { type BatchId, type GrainId, Store, VarveError } from 'varve';
import { codecs, Forest, reducers, type Tree } from 'varve/forest';
import { compressed } from 'varve/vault';
const store: Store = await Store.open('a.varve', { create: true, cacheBytes: undefined });
const { id, batch }: { id: GrainId; batch: BatchId } = await store.put(new Uint8Array(3));
export const bytes: Uint8Array<ArrayBuffer> | undefined = store.get(id);
// @ts-expect-error a bigint is no GrainId until GrainId.from has seen it
export const none = store.get(1n);
const forest = await Forest.on(store, { vault: compressed() });
const key = codecs.tuple(codecs.utf8, codecs.u64);
const value = codecs.json<{ n: number }>();
const reducer = reducers.sum((_key: readonly [string, bigint], { n }: { n: number }) => n);
const tree = forest.tree('t', { key, value, reducer });
export const typed: Tree<readonly [string, bigint], { n: number }, number> = tree;
export const sum: number = await forest.transaction((tx) => {
  tx.tree(tree).put(['a', 1n], { n: 2 });
  return tx.tree(tree).reduce({ gte: ['a', 0n] });
});
export const raw: Uint8Array | undefined = forest.tree('raw').get(new Uint8Array(1));
export const failed = (error: unknown): boolean => error instanceof VarveError && batch > 0;
`;

const folder = mkdtempSync(join(tmpdir(), 'varve-package-'));
try {
  const tarball = pack();
  runTool('publint', ['publint', 'src/cli.js'], ['run', tarball, '--strict']);
  runTool(
    'attw',
    ['@arethetypeswrong', 'cli', 'dist', 'index.js'],
    [tarball, '--profile', 'esm-only'],
  );
  install(tarball);
  checkSourceMaps(join(folder, 'node_modules', 'varve'));
  checkRuns();
  checkTypes();
  console.log('the packed package installs, runs and type-checks');
} catch (error) {
  console.error(`check-package: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** @returns {string} the path of the tarball */
function pack() {
  const output = npm(
    ['pack', '--ignore-scripts', '--json', '--pack-destination', folder],
    repository,
  );
  const [{ filename, files }] = JSON.parse(output);
  const paths = files.map((/** @type {{ path: string }} */ file) => file.path);
  const missing = filesRequired.filter((path) => !paths.includes(path));
  const stray = paths.filter((/** @type {string} */ path) => !filesExpected.test(path));
  if (missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')}`);
  if (stray.length > 0) throw new Error(`the tarball should not hold ${stray.join(', ')}`);
  console.log(`packed ${filename}: ${paths.length} files`);
  return join(folder, filename);
}

/** @param {string} tarball */
function install(tarball) {
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  npm(['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], folder);
}

/**
 * Each source map leads to a source that is in the package, or has its text.
 * @param {string} installed
 */
function checkSourceMaps(installed) {
  const names = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' });
  const maps = names.filter((name) => name.endsWith('.map'));
  if (maps.length === 0) throw new Error('the package has no source maps');
  for (const name of maps) {
    const path = join(installed, 'dist', name);
    const { sources, sourcesContent = [] } = JSON.parse(readFileSync(path, 'utf8'));
    for (const [at, source] of sources.entries()) {
      const isThere =
        existsSync(join(dirname(path), source)) || typeof sourcesContent[at] === 'string';
      if (!isThere) throw new Error(`${name}: no source ${source}`);
    }
  }
}

/** With the native addon where the platform has it, then as where it could not be installed. */
function checkRuns() {
  writeFileSync(join(folder, 'program.js'), program);
  const expected = 'typeof Store: function\nstored and read back: 1,2,3\nput and got: 1,2\n';
  for (const store of ['native.varve', 'plain.varve']) {
    const output = run(process.execPath, ['program.js', store], folder);
    if (output !== expected) throw new Error(`the installed package printed: ${output}`);
    console.log(output.trimEnd());
    const addon = join(folder, 'node_modules', 'fs-native-extensions');
    rmSync(addon, { recursive: true, force: true });
  }
}

/** The declarations must bring what they need beyond the consumer's lib (Disposable) themselves. */
function checkTypes() {
  writeFileSync(join(folder, 'typed.ts'), typedProgram);
  const platforms = [
    { name: 'node', lib: ['ES2023'], types: ['node'] },
    { name: 'browser', lib: ['ES2023', 'DOM'], types: [] },
  ];
  for (const { name, lib, types } of platforms) {
    const compilerOptions = {
      target: 'ES2022',
      module: 'NodeNext',
      lib,
      types,
      typeRoots: [join(tools, '@types')],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
    };
    const config = join(folder, `tsconfig.${name}.json`);
    writeFileSync(config, JSON.stringify({ compilerOptions, files: ['typed.ts'] }));
    runTool(`types for ${name}`, ['typescript', 'bin', 'tsc'], ['-p', config]);
  }
}

/**
 * @param {string} name
 * @param {readonly string[]} path below node_modules
 * @param {readonly string[]} args
 */
function runTool(name, path, args) {
  run(process.execPath, [join(tools, ...path), ...args], folder);
  console.log(`${name}: no complaints`);
}

/**
 * @param {readonly string[]} args
 * @param {string} cwd
 */
function npm(args, cwd) {
  const script = process.env['npm_execpath'];
  return script === undefined
    ? run('npm', args, cwd)
    : run(process.execPath, [script, ...args], cwd);
}

/**
 * Runs to the end; shows everything that was printed where it fails.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} cwd
 */
function run(command, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status === 0) return stdout;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  throw new Error(`${command} ${args.join(' ')} ended with ${error ?? status}`);
}
