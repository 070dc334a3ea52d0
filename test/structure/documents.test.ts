/**
 * The documents name things that exist: files, folders, symbols of the source, headings.
 *
 * It reads no sense into a sentence: whether what is said of a name is true is for its readers.
 */

import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const documents = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'docs/operating.md',
  'spec/format.md',
  'spec/forest.md',
  'test/README.md',
  'test/seeded-faults/README.md',
];

function textOf(path: string): string {
  return readFileSync(join(repository, path), 'utf8');
}

/** The text of a section, without its heading. */
function section(document: string, heading: string): string {
  const [, after = ''] = textOf(document).split(`\n## ${heading}\n`);
  return after.split('\n## ')[0] ?? '';
}

/** The addresses of the headings of a document, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const titles = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title);
  return new Set(
    titles.map((title) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/ /g, '-'),
    ),
  );
}

/** Links of a document to places that are not there. */
function brokenLinks(document: string): string[] {
  const text = textOf(document).replace(/^```[\s\S]*?^```$/gm, '');
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return links.filter((target) => {
    if (/^https?:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? document : join(dirname(document), path);
    if (!existsSync(join(repository, file))) return true;
    return anchor !== undefined && !anchorsOf(textOf(file)).has(anchor);
  });
}

/** Whether a source declares a function, a class, or a method of a class: `f`, `C`, `C.m`, `C.#m`. */
function declares(path: string, name: string): boolean {
  const text = textOf(path);
  const [owner = '', member] = name.split('.');
  const declared = new RegExp(`^export (?:async )?(?:class|function\\*?) ${owner}\\b`, 'm');
  if (!declared.test(text)) return false;
  if (member === undefined) return true;
  return new RegExp(`^ {2}(?:static )?(?:async )?\\*?${member}[<(]`, 'm').test(text);
}

describe('the documents', () => {
  it.each(documents)('lead somewhere with every link of %s', (document) => {
    expect(brokenLinks(document)).toEqual([]);
  });
});

describe('"Reading the source" in ARCHITECTURE.md', () => {
  const steps = section('ARCHITECTURE.md', 'Reading the source')
    .split(/^\d+\. /m)
    .slice(1)
    .map((step) => step.replace(/\s+/g, ' '));

  it('has eight steps', () => {
    expect(steps.length).toBe(8);
  });

  it.each(steps)('names existing symbols: %s', (step) => {
    let path = '';
    const named = [...step.matchAll(/`([A-Za-z]+(?:\.#?[A-Za-z]+)?)`(?: \(`([\w/-]+\.ts)`\))?/g)];
    const symbols = named.filter(([, name = '', at]) => at !== undefined || name.includes('.'));
    expect(symbols.length).toBeGreaterThan(0);
    for (const [, name = '', at] of symbols) {
      path = at === undefined ? path : `src/${at}`;
      expect([name, path, declares(path, name)]).toEqual([name, path, true]);
    }
  });

  it('would see a name that is not there', () => {
    expect(declares('src/store/store.ts', 'Store.open')).toBe(true);
    expect(declares('src/store/store.ts', 'Store.opened')).toBe(false);
    expect(declares('src/store/store.ts', 'Shop')).toBe(false);
  });
});

describe('"Where to look" in ARCHITECTURE.md', () => {
  const rows = [
    ...section('ARCHITECTURE.md', 'Where to look').matchAll(/^\| (`.*?) \| .*? \| (.*?) \|$/gm),
  ];

  it('names rooms and files that are there', () => {
    expect(rows.length).toBeGreaterThan(20);
    for (const [, rooms = '', files = ''] of rows) {
      const paths = [...rooms.matchAll(/`([^`]+)`/g)].map(([, room = '']) => `src/${room}`);
      for (const path of paths)
        expect([path, existsSync(join(repository, path))]).toEqual([path, true]);
      const folders = paths.filter((path) => statSync(join(repository, path)).isDirectory());
      for (const [, file = ''] of files.matchAll(/`([\w-]+\.ts)`/g)) {
        const found = folders.some((folder) => existsSync(join(repository, folder, file)));
        expect([rooms, file, found]).toEqual([rooms, file, true]);
      }
    }
  });
});
