/**
 * How the sources of varve read, as functions over sources: names of files, lengths, the opening
 * comment, the words that are kept to one place or out of the house.
 *
 * Invariant: what stands in a comment or a string never breaks a rule about code. It looks only at
 * the sources that it is given. It says nothing of imports (import-rules.ts does).
 */
import { posix } from 'node:path';
import type { Breach } from './import-rules.ts';
import { lineAt, maskSource, type SourceFile } from './source-text.ts';

const linesMax = 400;
const columnsMax = 100;
const headerLinesMin = 3;

/** A name that ends so says nothing about what is in the file. */
const emptyNames = /(?:^|-)(?:utils?|helpers?|misc|common|types|base|impl|manager)(?:\.d)?\.ts$/;
const kebabCase = /^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*(?:\.d)?\.ts$/;

/** Doc comments that begin so have to be read twice: the subject goes first. */
const openings = /^\/\*\*[\s*]*(?:What|Who|Of|So|Where)\b/;
/** Words that hide who does what. */
const riddles = /\b(?:told|so many|nobody|rearmost|comes to nothing)\b/i;

/** Page and sector size: they stand in the layout, and where bytes meet the disk. */
const layoutNumbers = new Set([512, 4096]);
const numberLiteral =
  /(?<![\w$.])(?:0x[\da-f_]+|0b[01_]+|0o[0-7_]+|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)(?=n?\b)/gi;

/** Fields that decide what is written, freed or given out: only their owner changes them. */
const ownedFields = [
  'dirty|durable|stamp|damaged|state|retainedBytes|listed|hint',
  'committedGrains|takenGrains|allocatedGrains|totalGrains|archivedValues|valueBytes',
  'beingAdded|vacated|marksBacked',
].join('|');
const foreignWrites = new RegExp(
  `([\\w$#)\\]!]+)\\.(?:${ownedFields})\\s*(?:[-+]|\\?\\?|\\|\\||&&)?=(?![=>])`,
  'g',
);
/** Sources that still change a field of another: each is to be mended, and to leave this list. */
const pendingWrites = new Set(['src/forest/commits/group-commits.ts']);

interface WordRule {
  readonly rule: string;
  readonly pattern: RegExp;
  /** Sources that the rule leaves alone. */
  readonly home?: RegExp;
  readonly message: string;
}

/** Everything outside the store, and these files of it. */
function outsideStoreOr(...paths: readonly string[]): RegExp {
  return new RegExp(`^src/(?!store/)|^src/store/(?:${paths.join('|')})$`);
}

const wordRules: readonly WordRule[] = [
  {
    rule: 'default-exports',
    pattern: /\bexport\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/g,
    message: 'a default export has no name to search for',
  },
  {
    rule: 'erasable',
    pattern: /(?<![.\w$])enum\s+[\w$]+\s*\{|(?<![.\w$])(?:namespace|module)\s+[\w$.]+\s*\{/g,
    message: 'enums and namespaces are not erasable',
  },
  {
    rule: 'silence',
    pattern: /(?<![.\w$])console\b|\bprocess\s*\??\.\s*(?:stdout|stderr)\b/g,
    home: /^src\/cli\//,
    message: 'the library prints nothing',
  },
  {
    rule: 'data-view',
    pattern: /(?<![.\w$])DataView\b/g,
    home: /^src\/util\//,
    message: 'DataView belongs behind the cursor of src/util',
  },
  {
    rule: 'owners',
    pattern: /\bObject\s*\.\s*assign\b/g,
    message: 'the object changes itself, in a method that says what happens',
  },
  {
    rule: 'one-owner',
    pattern: /\.(?:write|truncate|datasync)Sync\(|\bfile\s*\.\s*(?:write|truncate|datasync)\(/g,
    // The target of a backup is not the store's file.
    home: outsideStoreOr('file/effects.ts', 'backup/target-file.ts'),
    message: 'only the performers of Steps write the file',
  },
  {
    rule: 'one-owner',
    pattern: /\byield\s*\{\s*kind:/g,
    // Creation and recovery write before the store is open.
    home: outsideStoreOr('file/file-writer.ts', 'open/creation.ts', 'open/recovery.ts'),
    message: 'FileWriter has a method for it, which tells space and read cache',
  },
  {
    rule: 'one-owner',
    pattern: /\bspace\.(?:reach|written|refused)\(|\bbytesWritten\s*[-+]?=(?!=)/g,
    home: outsideStoreOr('file/file-writer.ts'),
    message: 'FileWriter tells it for every write',
  },
  {
    rule: 'one-owner',
    pattern: /\bcache\.(?:written|forget)\(/g,
    home: outsideStoreOr('values/value-reader.ts'),
    message: 'FileWriter tells the cache, through ValueReader',
  },
  {
    rule: 'built-in-modules',
    pattern: /\bgetBuiltinModule\b/g,
    home: /^src\/util\/builtin-module\.ts$/,
    message: 'builtinModule of src/util asks for a module that may be missing',
  },
  {
    rule: 'identifiers',
    pattern: /(?<![\w$])[#]?[a-z$_][\w$]*(?:Least|Most)(?![\w$])/g,
    message: 'a bound ends in Min or Max',
  },
  {
    rule: 'identifiers',
    pattern:
      /(?<![\w$])#?(?:\w*Meanwhile|\w*[tT]old|takes|haveGone|isYetToCome|doAgain|Telling|Way|Walk|Place|Member|ReadHold)(?![\w$])/g,
    message: 'a name is the word of the field for the thing',
  },
];

/** Every breach of the rules above, in the order of the files. */
export function checkHouse(files: readonly SourceFile[]): Breach[] {
  return files.flatMap((file) => [
    ...checkName(file),
    ...checkLengths(file),
    ...checkHeader(file),
    ...checkWords(file),
    ...checkNumbers(file),
    ...checkEnglish(file),
    ...checkOwners(file),
  ]);
}

function checkName({ path }: SourceFile): Breach[] {
  const breaches: Breach[] = [];
  if (!kebabCase.test(path)) {
    breaches.push({ rule: 'names', path, line: 1, message: 'the path is not kebab-case' });
  }
  if (emptyNames.test(posix.basename(path))) {
    breaches.push({ rule: 'names', path, line: 1, message: 'name the file for its main type' });
  }
  return breaches;
}

function checkLengths({ path, text }: SourceFile): Breach[] {
  const breaches: Breach[] = [];
  const lines = text.replace(/\n$/, '').split('\n');
  if (lines.length > linesMax) {
    const message = `${lines.length} lines, at most ${linesMax}`;
    breaches.push({ rule: 'lines', path, line: linesMax + 1, message });
  }
  for (const [index, line] of lines.entries()) {
    const columns = [...line].length;
    if (columns <= columnsMax || /https?:\/\//.test(line)) continue;
    const message = `${columns} columns, at most ${columnsMax}`;
    breaches.push({ rule: 'columns', path, line: index + 1, message });
  }
  return breaches;
}

/** The file opens with a doc comment that says something in at least three lines. */
function checkHeader({ path, text }: SourceFile): Breach[] {
  // A reference to a lib has to stand first to be obeyed.
  const opening = text.replace(/^(?:(?:#!|\/\/\/ *<).*\n|\s*\n)*/, '');
  const comment = /^\/\*\*([\s\S]*?)\*\//.exec(opening)?.[1] ?? '';
  const said = comment.split('\n').filter((line) => /\p{L}/u.test(line)).length;
  if (said >= headerLinesMin) return [];
  const message = `opens with ${said} lines of doc comment, at least ${headerLinesMin}`;
  return [{ rule: 'header', path, line: 1, message }];
}

/** The mechanical part of plain English, in comments. */
function checkEnglish({ path, text }: SourceFile): Breach[] {
  return [...text.matchAll(/\/\*\*[\s\S]*?\*\/|(?<=^|\s)\/\/ .*$/gm)].flatMap((comment) => {
    const line = lineAt(text, comment.index);
    const breaches: Breach[] = [];
    const report = (message: string): void => {
      breaches.push({ rule: 'english', path, line, message });
    };
    if (openings.test(comment[0])) report('a doc comment begins with its subject');
    const words = riddles.exec(comment[0].replace(/\s*\n\s*\*/g, ''));
    if (words !== null) report(`'${words[0]}': say who does what`);
    return breaches;
  });
}

function checkWords({ path, text }: SourceFile): Breach[] {
  const code = maskSource(text);
  return wordRules.flatMap(({ rule, pattern, home, message }) =>
    home?.test(path)
      ? []
      : [...code.matchAll(pattern)].map((match) => {
          const word = match[0].replace(/\s+/g, ' ');
          return { rule, path, line: lineAt(text, match.index), message: `${word}: ${message}` };
        }),
  );
}

/** A field is changed through `this` only: in the class that declares it. */
function checkOwners({ path, text }: SourceFile): Breach[] {
  if (pendingWrites.has(path)) return [];
  return [...maskSource(text).matchAll(foreignWrites)]
    .filter(([, receiver]) => receiver !== 'this')
    .map((match) => {
      const message = `${match[0]}: call a method of its owner`;
      return { rule: 'owners', path, line: lineAt(text, match.index), message };
    });
}

function checkNumbers({ path, text }: SourceFile): Breach[] {
  if (path === 'src/format/layout.ts' || path.startsWith('src/io/')) return [];
  return [...maskSource(text).matchAll(numberLiteral)]
    .filter((match) => layoutNumbers.has(Number(match[0].replaceAll('_', ''))))
    .map((match) => {
      const message = `${match[0]} is a number of the layout: use its name`;
      return { rule: 'layout-numbers', path, line: lineAt(text, match.index), message };
    });
}
