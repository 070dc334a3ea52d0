/**
 * Holds the sources to the house rules: the import table, names, lengths, words and numbers.
 *
 * Invariant: every rule is shown to fail on a small made-up source that breaks it, and to let a
 * sound one pass, so that a green run says something. The rules are in import-rules.ts and
 * house-rules.ts; this file only brings them together with the sources on disk.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { brokenLines } from './broken-lines.ts';
import { checkHouse } from './house-rules.ts';
import { type Breach, checkImports } from './import-rules.ts';
import { importsOf, maskSource, type SourceFile } from './source-text.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));

const header = [
  '/**',
  ' * The purpose of the file,',
  ' * what it keeps,',
  ' * what it does not do.',
  ' */',
];

/** A sound source: the header that every file needs, then these lines. */
function source(path: string, ...lines: string[]): SourceFile {
  return { path, text: `${[...header, ...lines].join('\n')}\n` };
}

/** A small house that keeps every rule; a case replaces or adds files. */
const soundHouse = [
  source('src/errors.ts', 'export class VarveError extends Error {}'),
  source('src/util/crc.ts', "import crc from 'crc-32';", 'export const crcOf = crc.buf;'),
  source('src/util/cursor.ts', "import { VarveError } from '../errors.ts';", 'new DataView(b);'),
  source('src/format/layout.ts', 'export const pageBytes = 4_096;', 'const sectorBytes = 0x200;'),
  source('src/format/seal.ts', "import { crcOf } from '../util/crc.ts';", 'export const a = 1;'),
  source('src/io/node-file.ts', "import { open } from 'node:fs';", 'export const o = open;'),
  source('src/io/node-lock.ts', "import('fs-native-extensions').catch(note);"),
  source('src/io/node.ts', "export const load = () => import('./node-file.ts');"),
  source(
    'src/store/store.ts',
    "import { Mutex } from 'async-mutex';",
    "import type { o } from '../io/node-file.ts';",
    "import { load } from '../io/node.ts';",
    "import { a } from '../format/seal.ts';",
    'export class Store {}',
  ),
  source('src/store/file/space.ts', 'export const s = 1;'),
  source('src/store/values/value.ts', "import { s } from '../file/space.ts';", 's();'),
  source('src/store/commit/batch.ts', "import '../values/value.ts';"),
  source('src/forest/trees/tree.ts', 'export const t = 1;'),
  source('src/forest/reads/range.ts', "import { t } from '../trees/tree.ts';", 't();'),
  source('src/index.ts', "export * from './store/store.ts';"),
  source('src/forest/index.ts', "import { Store } from '../index.ts';", 'export const f = 1;'),
  source('src/keydir.ts', "import { f } from './forest/index.ts';", "import './util/crc.ts';"),
  source('src/cli/main.ts', "import { argv } from 'node:process';", 'console.log(argv);'),
];
const soundEntries = ['src/index.ts', 'src/forest/index.ts', 'src/keydir.ts'];

function breachesOf(files: readonly SourceFile[], entries: readonly string[]): Breach[] {
  return [...checkImports({ files, publicEntries: new Set(entries) }), ...checkHouse(files)];
}

/** The breaches that appear when these files replace, or join, those of the sound house. */
function breachesWith(...changed: SourceFile[]): Breach[] {
  const byPath = new Map([...soundHouse, ...changed].map((file) => [file.path, file]));
  return breachesOf([...byPath.values()], soundEntries);
}

/** What a broken rule reads like: the rule, the file, the line where it is broken. */
function shown({ rule, path, line, message }: Breach): string {
  return `${path}:${line} [${rule}] ${message}`;
}

/** Lines after the header begin here. */
const first = header.length + 1;

/** [the source or a sentence, the rule, the line, the source that breaks it] */
const brokenSources: readonly (readonly [string, string, number, SourceFile])[] = [
  ...Object.entries(brokenLines).flatMap(([rule, rows]) =>
    [...rows.matchAll(/^ +(\S+?)(?::(\d+))? (.*)$/gm)].map(
      ([row, path = '', line = first, code = '']) =>
        [row.trim(), rule, Number(line), source(path, code)] as const,
    ),
  ),
  [
    'format re-exports from the store',
    'layers',
    first + 1,
    source('src/format/x.ts', 'const a = 1;', "export { Store as S } from '../store/store.ts';"),
  ],
  [
    'util loads the store lazily',
    'layers',
    first + 1,
    source('src/util/x.ts', 'const load = () =>', "  import('../store/store.ts');"),
  ],
  [
    'a file hands on everything of another',
    'barrels',
    first + 1,
    source('src/format/x.ts', 'export const b = 1;', "export * from './seal.ts';"),
  ],
  [
    'a file hands on everything under a name',
    'barrels',
    first + 1,
    source('src/format/x.ts', 'export const b = 1;', "export * as seal from './seal.ts';"),
  ],
  [
    'a file is longer than 400 lines',
    'lines',
    401,
    source('src/store/x.ts', ...Array.from({ length: 396 }, () => ';')),
  ],
  ['a line is too wide', 'columns', first, source('src/store/x.ts', `// ${'x'.repeat(98)}`)],
  [
    'a file opens with code',
    'header',
    1,
    { path: 'src/store/x.ts', text: `export const a = 1;\n${header.join('\n')}\n` },
  ],
  [
    'a header says one thing only',
    'header',
    1,
    { path: 'src/store/x.ts', text: '/**\n * One line.\n *\n *\n */\nexport const a = 1;\n' },
  ],
  [
    'a doc comment begins with What',
    'english',
    first,
    source('src/store/x.ts', '/** What is kept. */', 'export const a = 1;'),
  ],
  [
    'a doc comment begins with Where, on its second line',
    'english',
    first,
    source('src/store/x.ts', '/**', ' * Where it is.', ' */', 'export const a = 1;'),
  ],
  [
    'a comment speaks of nobody',
    'english',
    first,
    source('src/store/x.ts', '// Nobody waits for it.', 'export const a = 1;'),
  ],
  [
    'the store writes to the terminal',
    'silence',
    first + 1,
    source('src/store/x.ts', 'const a = 1;', 'process.stdout.write(text);'),
  ],
  [
    'a large value is written beside the performers',
    'one-owner',
    first + 1,
    source('src/store/commit/x.ts', 'const { file } = core;', 'await file.write(chunks, 0);'),
  ],
  [
    'a bound ends in Least',
    'identifiers',
    first,
    source('src/store/x.ts', 'const bytesLeast = 1;'),
  ],
  [
    'a private bound ends in AtLeast',
    'identifiers',
    first,
    source('src/store/x.ts', 'this.#bytesAtLeast = 1;'),
  ],
  [
    'a name is a riddle',
    'identifiers',
    first,
    source('src/store/x.ts', 'if (record.isYetToCome) stop();'),
  ],
];

/** Sources that come close to breaking a rule, and do not. */
const soundSources: readonly (readonly [string, SourceFile])[] = [
  [
    'forbidden words in comments and strings',
    source(
      'src/store/x.ts',
      "// console.log, 4096, import 'node:fs', enum A { B }",
      "/* export default DataView; import('left-pad') */",
      'const a = "console.log(4096); import \'node:fs\';";',
      "const b = `DataView ${a + '512'} export default`;",
      'const c = /DataView "4096/.test(a) ? 1 : 2;',
    ),
  ],
  [
    'numbers that only contain those of the layout',
    source('src/store/x.ts', 'const a = [5120, 40_960, 512.5, 0x5120, x512, b4096, 1.512];'),
  ],
  [
    'members that have the names of forbidden words',
    source('src/store/x.ts', 'a.console.log(b.enum, c.DataView);', 'd.module = { e };'),
  ],
  [
    'an owner that changes its own fields, and others that read them',
    source(
      'src/store/x.ts',
      "this.state = 'ended'; this.dirty ||= true;",
      "f(work.state === 'ended', map.durable == null, (page.hint) => page.hint >= 2);",
    ),
  ],
  [
    'a long line that holds an address',
    source('src/store/x.ts', `// https://example.org/${'x'.repeat(100)}`),
  ],
  [
    'a lib reference before the header',
    {
      path: 'src/store/x.ts',
      text: `/// <reference lib="esnext.disposable" />\n${header.join('\n')}\n`,
    },
  ],
  ['a column of wide characters', source('src/store/x.ts', `// ${'😀'.repeat(97)}`)],
  [
    'a number of bytes that is read, and a writer of another kind',
    source('src/store/x.ts', 'const before = writer.bytesWritten;', 'writer.write(steps);'),
  ],
];

describe('the sources of varve', () => {
  const files = readdirSync(join(repository, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({
      path: relative(repository, file).split(sep).join('/'),
      text: readFileSync(file, 'utf8'),
    }));

  it('are found', () => {
    const paths = files.map((file) => file.path);
    expect(paths).toContain('src/errors.ts');
    expect(paths).toContain('src/index.ts');
  });

  it('are TypeScript and nothing else', () => {
    expect(files.map((file) => file.path).filter((path) => !path.endsWith('.ts'))).toEqual([]);
  });

  it('keep every rule of the house', () => {
    expect(breachesOf(files, entriesOfPackage()).map(shown)).toEqual([]);
  });
});

/** The source of each file that the exports of package.json name. */
function entriesOfPackage(): string[] {
  const text = readFileSync(join(repository, 'package.json'), 'utf8');
  const { exports } = JSON.parse(text) as { exports: Record<string, string | { default: string }> };
  return Object.values(exports)
    .map((target) => (typeof target === 'string' ? target : target.default))
    .filter((target) => target.endsWith('.js'))
    .map((target) => target.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts'));
}

describe('the rules of the house', () => {
  it('see that a room has too many files', () => {
    const files = Array.from({ length: 15 }, (_, at) => source(`src/util/f${at}.ts`, 'a();'));
    const found = breachesWith(...files.slice(0, 12));
    expect(found.map(({ rule }) => rule)).toEqual([]);
    expect(breachesWith(...files).map(({ rule, path }) => [rule, path])).toEqual([
      ['rooms', 'src/util'],
    ]);
  });

  it('accept a sound house', () => {
    expect(breachesWith().map(shown)).toEqual([]);
  });

  it.each(soundSources)('accept: %s', (_sentence, file) => {
    expect(breachesWith(file).map(shown)).toEqual([]);
  });

  it.each(brokenSources)('see that %s', (_sentence, rule, line, file) => {
    const places = breachesWith(file).map(
      (breach) => `${breach.rule} ${breach.path}:${breach.line}`,
    );
    // A made-up source may break a second rule by the way; the one it is made for must be among them.
    expect(places).toContain(`${rule} ${file.path}:${line}`);
  });

  it('see a circle of three in one folder, type imports included', () => {
    const circle = breachesWith(
      source('src/store/a.ts', "import './b.ts';"),
      source('src/store/b.ts', "import type { C } from './c.ts';"),
      source('src/store/c.ts', "export const load = () => import('./a.ts');"),
    );
    expect(circle.map(shown)).toEqual([
      `src/store/c.ts:${first} [cycles] ` +
        'src/store/a.ts -> src/store/b.ts -> src/store/c.ts -> src/store/a.ts',
    ]);
  });

  it('see that a file of Node’s is loaded together with the package', () => {
    const eager = breachesWith(
      source('src/io/node.ts', "import { o } from './node-file.ts';", 'export const load = o;'),
    );
    expect(eager.map(shown)).toEqual([
      `src/io/node-file.ts:${first} [lazy-node] ` +
        "'node:fs' is loaded with the package: import src/io/node-file.ts lazily",
    ]);
  });

  it('report each place where a file breaks a rule', () => {
    const lines = breachesWith(source('src/store/x.ts', 'f(512);', '', 'f(512, 4096);'));
    expect(lines.map(({ line }) => line)).toEqual([first, first + 2, first + 2]);
  });
});

describe('reading a source', () => {
  it('masks text without moving anything', () => {
    const text = "a('x\\'y'); // z\nb(`p${c('}')}q`); /* r\ns */ d(/[/\"]/, e / f / g);\n";
    expect(maskSource(text)).toBe(
      "a('    ');     \nb(` ${c(' ')} `);     \n     d(/    /, e / f / g);\n",
    );
  });

  it('finds imports of every form and tells which are loaded at once', () => {
    const text = [
      "import a, { b as c } from 'one';",
      "import type { D } from 'two';",
      "import { type E } from 'three';",
      "import 'four';",
      'export {',
      '  f,',
      "} from 'five';",
      "export type * from 'six';",
      "const g = import('seven');",
      'const h = import(name);',
      "const i = 'import \"eight\"'; // import 'nine'",
      "import type from 'ten';",
    ].join('\n');
    expect(importsOf(text).map(({ specifier, kind, line }) => [specifier, kind, line])).toEqual([
      ['one', 'static', 1],
      ['two', 'type', 2],
      ['three', 'static', 3],
      ['four', 'static', 4],
      ['five', 'static', 5],
      ['six', 'type', 8],
      ['seven', 'dynamic', 9],
      [undefined, 'dynamic', 10],
      ['ten', 'static', 12],
    ]);
  });
});
