/**
 * Subscribers that throw: the process gets their errors as uncaught exceptions, as from any other
 * channel; commits stay acknowledged, other subscribers get their messages, and the store is sound.
 *
 * It takes a process, since an uncaught exception would end the run of the tests.
 */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';
import { bun, type Command, deno, node } from './runtimes.ts';

const script = fileURLToPath(new URL('./watching.mjs', import.meta.url));
const runtimes: Readonly<Record<string, Command>> = { Node: node, Bun: bun, Deno: deno };

it.each(Object.entries(runtimes))('subscribers that throw harm no commit, on %s', (_, runtime) => {
  const folder = makeTemporaryFolder();
  const [program, ...options] = runtime;
  const args = [...options, script, join(folder, 'store')];
  const answer = JSON.parse(execFileSync(program, args, { encoding: 'utf8' }));
  removeTemporaryFolder(folder);
  const messages = [
    'varve:recovery',
    ...['varve:commit', 'varve:commit', 'varve:commit', 'varve:checkpoint'],
    'varve:settle',
    'varve:recovery',
  ];
  expect(answer).toEqual({
    batches: [1, 2, 3],
    findings: [],
    reopened: { batch: 3, clean: true },
    messages,
    uncaught: messages.map((name) => `${name} failed`),
  });
});
