/**
 * `npm run build`, after the compiler has written the declarations to dist/: one JavaScript file for
 * each public entry, and the parts that entries share, in dist/shared/. A file costs a millisecond
 * when it is imported, more than its code does.
 *
 * Invariants:
 * - package.json says what the entries are: `./dist/x/index.js` is made from `src/x/index.ts`.
 * - Names stay as they are in src/, for stacks. Source maps lead to src/, which is published too.
 * - `dependencies` stay imports. The small packages among `devDependencies` that src/ imports become
 *   a part of the bundle; their licences are in dist/licences.txt.
 * - dist/ has only what an entry leads to: declarations that nobody can see are removed.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const repository = fileURLToPath(new URL('..', import.meta.url));
const dist = join(repository, 'dist');
const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));

/** The public entries, as paths below dist/ without an ending. */
const entries = Object.values(manifest.exports)
  .filter((target) => typeof target === 'object')
  .map(({ default: target }) => target.replace(/^\.\/dist\/(.*)\.js$/, '$1'));

const { metafile } = await build({
  absWorkingDir: repository,
  entryPoints: entries.map((entry) => `src/${entry}.ts`),
  outbase: 'src',
  outdir: 'dist',
  chunkNames: 'shared/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
  sourcemap: true,
  sourcesContent: false,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
embedForeignSources();
writeLicences();
removeUnseenDeclarations();

/** Source maps have the text of the packages in the bundle, which are not published with it. */
function embedForeignSources() {
  for (const output of Object.keys(metafile.outputs)) {
    if (!output.endsWith('.map')) continue;
    const path = join(repository, output);
    const map = JSON.parse(readFileSync(path, 'utf8'));
    map.sourcesContent = map.sources.map((/** @type {string} */ source) =>
      source.includes('/node_modules/') ? readFileSync(join(dirname(path), source), 'utf8') : null,
    );
    writeFileSync(path, JSON.stringify(map));
  }
}

/** Name, version and licence of each package that is a part of the bundle. */
function writeLicences() {
  const folders = new Set(
    Object.keys(metafile.inputs).flatMap((input) => /^node_modules\/[^/]+/.exec(input)?.[0] ?? []),
  );
  const texts = [...folders].sort().map((folder) => {
    const { name, version } = JSON.parse(
      readFileSync(join(repository, folder, 'package.json'), 'utf8'),
    );
    const licence = readFileSync(join(repository, folder, 'LICENSE'), 'utf8');
    return `${name} ${version} is a part of this package, under this licence:\n\n${licence.trim()}\n`;
  });
  writeFileSync(join(dist, 'licences.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}

function removeUnseenDeclarations() {
  const seen = new Set(entries.map((entry) => join(dist, `${entry}.d.ts`)));
  for (const path of seen) {
    for (const [, specifier = ''] of readFileSync(path, 'utf8').matchAll(
      /(?:from |import\()'(\.[^']*)\.(?:js|ts)'/g,
    )) {
      seen.add(join(dirname(path), `${specifier}.d.ts`));
    }
  }
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    const declaration = join(dist, name.replace(/\.map$/, ''));
    if (declaration.endsWith('.d.ts') && !seen.has(declaration)) rmSync(join(dist, name));
  }
}
