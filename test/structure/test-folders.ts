/**
 * How the folders of the tests lie to one another, as functions over their sources: support stands
 * alone, no circle of folders, no crowded folder, no long file.
 *
 * Invariant: it looks only at the sources that it is given, never at the disk. What a test imports
 * from src/, bench/ or scripts/ is free; the imports of src/ itself are in import-rules.ts.
 */
import { posix } from 'node:path';
import type { Breach } from './import-rules.ts';
import { importsOf, type SourceFile } from './source-text.ts';

const filesInFolderMost = 20;
/** In these another number holds; the folder of regressions is a list: one file for each bug. */
const filesMost: readonly (readonly [RegExp, number])[] = [
  [/^test\/support(?:\/|$)/, 14],
  [/^test\/regression$/, Number.POSITIVE_INFINITY],
];

const linesMost = 400;

interface TestImport {
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

/** Every breach of the rules for the folders of test/. */
export function checkTestFolders(files: readonly SourceFile[]): Breach[] {
  const imports = files.flatMap(importsWithinTests);
  return [
    ...imports.filter(leavesSupport).map(({ from, to, line }) => ({
      rule: 'support',
      path: from,
      line,
      message: `imports ${to}: support is below all other tests`,
    })),
    ...findFolderCircles(imports),
    ...findCrowdedFolders(files),
    ...files.flatMap(checkLength),
  ];
}

function checkLength({ path, text }: SourceFile): Breach[] {
  const lines = text.replace(/\n$/, '').split('\n').length;
  if (lines <= linesMost) return [];
  const message = `${lines} lines, at most ${linesMost}`;
  return [{ rule: 'lines', path, line: linesMost + 1, message }];
}

function importsWithinTests({ path, text }: SourceFile): TestImport[] {
  return importsOf(text).flatMap(({ specifier, line }) => {
    if (!specifier?.startsWith('.')) return [];
    const to = posix.join(posix.dirname(path), specifier);
    return to.startsWith('test/') ? [{ from: path, to, line }] : [];
  });
}

function leavesSupport({ from, to }: TestImport): boolean {
  return from.startsWith('test/support/') && !to.startsWith('test/support/');
}

/** One breach for each import that closes a circle of folders, type imports included. */
function findFolderCircles(imports: readonly TestImport[]): Breach[] {
  const breaches: Breach[] = [];
  const finished = new Set<string>();
  const visit = (folder: string, trail: readonly string[]): void => {
    const seen = new Set([folder]);
    for (const { from, to, line } of imports) {
      const target = posix.dirname(to);
      if (posix.dirname(from) !== folder || seen.has(target)) continue;
      seen.add(target);
      const first = trail.indexOf(target);
      if (first >= 0) {
        const message = [...trail.slice(first), target].join(' -> ');
        breaches.push({ rule: 'folders', path: from, line, message });
      } else if (!finished.has(target)) visit(target, [...trail, target]);
    }
    finished.add(folder);
  };
  for (const { from } of imports) {
    const folder = posix.dirname(from);
    if (!finished.has(folder)) visit(folder, [folder]);
  }
  return breaches;
}

function findCrowdedFolders(files: readonly SourceFile[]): Breach[] {
  const counts = new Map<string, number>();
  for (const { path } of files) {
    const folder = posix.dirname(path);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].flatMap(([path, count]) => {
    const most = filesMost.find(([pattern]) => pattern.test(path))?.[1] ?? filesInFolderMost;
    const message = `${count} files, at most ${most}`;
    return count > most ? [{ rule: 'rooms', path, line: 1, message }] : [];
  });
}
