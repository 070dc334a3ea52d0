/**
 * Pairs of writers of every kind, in both orders: Node, Bun and Deno, with the addon and without it,
 * bundled by esbuild and not. While one has a store the other is refused, and gets it as soon as the
 * first has closed it or was killed.
 *
 * Rule (src/io/node-lock.ts): a writer takes every kind of lock that another might take. Each side
 * asks once; nothing waits for time to pass.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadNativeExtensions } from '../../../src/io/node-native-extensions.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../support/temporary-folder.ts';
import { Child } from '../child.ts';
import { bun, type Command, deno, denoWithAll, node, nodeWithoutAddons } from '../runtimes.ts';

const folder = makeTemporaryFolder();
const script = fileURLToPath(new URL('./contender.mjs', import.meta.url));
/** Far from every folder of modules, as bundles are deployed. */
const bundles = { esm: join(folder, 'bundle.mjs'), cjs: join(folder, 'bundle.cjs') };

const commands = {
  'Node with the addon': [...node, script],
  'Node without the addon': [...nodeWithoutAddons, script],
  'a bundle on Node': [...node, bundles.esm],
  'a CommonJS bundle on Node': [...node, bundles.cjs],
  Bun: [...bun, script],
  'a bundle on Bun': [...bun, bundles.esm],
  Deno: [...deno, script],
  'a bundle on Deno': [...denoWithAll, bundles.esm],
} as const satisfies Record<string, Command>;

type Kind = keyof typeof commands;
const kinds = Object.keys(commands) as Kind[];
const pairs = kinds.flatMap((first) => kinds.map((second) => [first, second] as const));

beforeAll(async () => {
  const library = fileURLToPath(new URL('../../../dist/index.js', import.meta.url));
  const contending = fileURLToPath(new URL('./contending.mjs', import.meta.url));
  const contents = [
    `import { Store } from ${JSON.stringify(library)};`,
    `import { contend } from ${JSON.stringify(contending)};`,
    'contend(Store);',
  ].join('\n');
  for (const format of ['esm', 'cjs'] as const) {
    await build({
      stdin: { contents, resolveDir: folder },
      bundle: true,
      platform: 'node',
      format,
      outfile: bundles[format],
      logLevel: 'error',
    });
  }
});

/** Processes that wait for orders, two of a kind at most: started when they are first needed. */
const waiting = new Map<Kind, Child[]>(kinds.map((kind) => [kind, []]));

async function contender(kind: Kind): Promise<Child> {
  const idle = waiting.get(kind)?.pop();
  if (idle !== undefined) return idle;
  const child = new Child(commands[kind]);
  expect(await child.line()).toBe('ready');
  return child;
}

afterAll(async () => {
  for (const child of [...waiting.values()].flat()) await child.leave();
  removeTemporaryFolder(folder);
});

async function ask(child: Child, order: string): Promise<string | undefined> {
  child.tell(order);
  return await child.line();
}

let storeCount = 0;
function newPath(): string {
  storeCount += 1;
  return join(folder, `store-${storeCount}`);
}

describe.each(pairs)('%s first, %s second', (firstKind, secondKind) => {
  it('has one writer at a time', async () => {
    const path = newPath();
    const first = await contender(firstKind);
    const second = await contender(secondKind);
    expect(await ask(first, `open ${path}`)).toBe('held');
    expect(await ask(second, `open ${path}`)).toBe('VARVE_LOCKED');
    expect(await ask(first, 'commit')).toBe('1');
    expect(await ask(first, 'close')).toBe('closed');
    expect(await ask(second, `open ${path}`)).toBe('held');
    expect(await ask(first, `open ${path}`)).toBe('VARVE_LOCKED');
    expect(await ask(second, 'commit')).toBe('2');
    expect(await ask(second, 'close')).toBe('closed');

    expect(await ask(first, `open ${path}`)).toBe('held');
    first.kill();
    expect(await first.ended()).toBe('SIGKILL');
    expect(await ask(second, `open ${path}`)).toBe('held');
    expect(await ask(second, 'commit')).toBe('3');
    expect(await ask(second, 'close')).toBe('closed');
    waiting.get(secondKind)?.push(second);
  });
});

describe.each(pairs.filter(([first, second]) => first < second))('%s and %s', (one, other) => {
  it('never both have the lock when they open at once, and leave no lock behind', async () => {
    const both = [await contender(one), await contender(other)] as const;
    for (let round = 0; round < 5; round += 1) {
      const path = newPath();
      for (const child of both) child.tell(`open ${path}`);
      const answers = await Promise.all(both.map((child) => child.line()));
      const held = both.filter((_, index) => answers[index] === 'held');
      expect(answers.filter((answer) => answer === 'VARVE_LOCKED')).toHaveLength(2 - held.length);
      expect(held.length).toBeLessThan(2);
      // Where they cannot take the same names, each may see the other and be refused.
      if (one.includes('Node') === other.includes('Node')) expect(held).toHaveLength(1);
      for (const child of held) expect(await ask(child, 'close')).toBe('closed');
      for (const child of both) {
        expect(await ask(child, `open ${path}`)).toBe('held');
        expect(await ask(child, 'close')).toBe('closed');
      }
    }
    waiting.get(one)?.push(both[0]);
    waiting.get(other)?.push(both[1]);
  });
});

it('the kinds match their names: only the first has the addon', async () => {
  const addon = await loadNativeExtensions();
  const found: Kind[] = [];
  for (const kind of kinds) {
    const path = newPath();
    const child = await contender(kind);
    expect(await ask(child, `open ${path}`)).toBe('held');
    const fd = fs.openSync(path, 'r+');
    if (addon?.tryLock(fd, 2 ** 52, 1) === false) found.push(kind);
    fs.closeSync(fd);
    expect(await ask(child, 'close')).toBe('closed');
    waiting.get(kind)?.push(child);
  }
  expect(found).toEqual(['Node with the addon']);
});
