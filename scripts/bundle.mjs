/**
 * `npm run build`, after the compiler has written the declarations to dist/: one JavaScript file for
 * each public entry, and the parts that entries share, in dist/shared/. Each file more costs
 * half a millisecond when it is imported.
 *
 * Invariants:
 * - package.json says what the entries are: `./dist/x/index.js` is made from `src/x/index.ts`.
 * - Names stay as they are in src/, for stacks. Source maps lead to src/, which is published too.
 * - `dependencies` stay imports. The small packages among `devDependencies` that src/ imports become
 *   a part of the bundle; their licences are in dist/licences.txt.
 * - dist/ has only what an entry leads to: declarations that nobody can see are removed.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

const repository = fileURLToPath(new URL('..', import.meta.url));
const dist = join(repository, 'dist');
const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));

/** The public entries, as paths below dist/ without an ending. */
const entries = Object.values(manifest.exports)
  .filter((target) => typeof target === 'object')
  .map(({ default: target }) => target.replace(/^\.\/dist\/(.*)\.js$/, '$1'));

const { metafile, outputFiles } = await build({
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
  minifyWhitespace: true,
  sourcemap: 'inline',
  sourcesContent: false,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  write: false,
});
for (const { path, text } of outputFiles) await writeReadable(path, text);
writeLicences();
removeUnseenDeclarations();

/**
 * Writes a part of the bundle with a line for each statement and without comments: they are in
 * src/, and the engine would read them with the code, some of it twice.
 *
 * @param {string} path
 * @param {string} text without lines, with its map
 */
async function writeReadable(path, text) {
  const { code, map } = await transform(text, {
    sourcefile: basename(path),
    sourcemap: 'external',
    sourcesContent: false,
    target: 'node20',
  });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${withNamesOfClasses(code)}//# sourceMappingURL=${basename(path)}.map\n`);
  writeFileSync(`${path}.map`, withForeignSources(JSON.parse(map), dirname(path)));
}

/**
 * A class that names itself becomes `var Store = class _Store`: users would see that name. The text
 * keeps its length, so the map stays right.
 *
 * @param {string} code
 */
function withNamesOfClasses(code) {
  const classes = [...code.matchAll(/\b([\w$]+) = class _\1\b/g)];
  return classes.reduce(
    (renamed, [, name]) => renamed.replaceAll(new RegExp(`\\b_${name}\\b`, 'g'), `${name} `),
    code,
  );
}

/**
 * A source map with the text of the packages in the bundle, which are not published with it.
 *
 * @param {{ sources: string[], sourcesContent?: (string | null)[] }} map
 * @param {string} folder
 */
function withForeignSources(map, folder) {
  map.sourcesContent = map.sources.map((source) =>
    source.includes('/node_modules/') ? readFileSync(join(folder, source), 'utf8') : null,
  );
  return JSON.stringify(map);
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
