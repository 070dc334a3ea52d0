/**
 * The built library loads and works on Node, Bun and Deno: a store and a forest are made, committed
 * to, opened again, read and verified. The same script runs on each.
 */

import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';
import { Child } from './child.ts';
import { bun, type Command, deno, denoWithAll, node, nodeWithoutAddons } from './runtimes.ts';

const script = fileURLToPath(new URL('./basics.mjs', import.meta.url));
const runtimes: readonly (readonly [string, Command])[] = [
  ['Node', node],
  ['Node without addons', nodeWithoutAddons],
  ['Bun', bun],
  ['Deno with the permissions that varve needs', deno],
  ['Deno with all permissions', denoWithAll],
];

let folder: string;
beforeEach(() => {
  folder = makeTemporaryFolder();
});
afterEach(() => removeTemporaryFolder(folder));

it.each(runtimes)('stores and forests work on %s', async (_name, runtime) => {
  const child = new Child([...runtime, script], folder);
  expect(await child.line()).toBe('sound');
  expect(await child.line()).toBeUndefined();
  expect(await child.ended()).toBeUndefined();
});
