/**
 * `waitForLockMs` against other processes and threads: whoever waits gets the store when its holder
 * has closed it or was killed, and is told which process has it if that does not happen.
 *
 * A process that waits says so once it was refused; nothing here waits for time to pass.
 */

import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Store } from '../../../src/index.ts';
import type { Child } from '../child.ts';
import { bun, type Command, deno, node, nodeWithoutAddons } from '../runtimes.ts';
import { childrenOfTest } from './started-children.ts';

const script = fileURLToPath(new URL('./lock-waiter.mjs', import.meta.url));
const runtimes: Readonly<Record<string, Command>> = {
  'Node with the addon': node,
  'Node without the addon': nodeWithoutAddons,
  Bun: bun,
  Deno: deno,
};

let storeCount = 0;
const started = childrenOfTest();

function newPath(): string {
  storeCount += 1;
  return join(started.folder, `store-${storeCount}`);
}

function waiter(path: string, milliseconds: number, runtime: Command = node): Child {
  return started.start([...runtime, script, path, `${milliseconds}`]);
}

const forever = Number.POSITIVE_INFINITY;

describe.each(Object.entries(runtimes))('%s', (_, runtime) => {
  it('gets the store when its holder closes it, and when that is killed', async () => {
    const path = newPath();
    const first = waiter(path, 0);
    expect(await first.line()).toBe('held 1');
    const second = waiter(path, forever, runtime);
    expect(await second.line()).toBe('refused');
    first.tell('close');
    expect(await first.line()).toBe('closed');
    expect(await second.line()).toBe('held 2');
    const third = waiter(path, forever, runtime);
    expect(await third.line()).toBe('refused');
    second.kill();
    expect(await third.line()).toBe('held 3');
    third.tell('close');
    expect(await third.line()).toBe('closed');
    const store = await Store.open(path);
    expect(store.currentBatch).toBe(3);
    await store.close();
  });

  it('is told which process has the store if that keeps it', async () => {
    const path = newPath();
    const store = await Store.open(path);
    const other = waiter(path, 30, runtime);
    expect(await other.line()).toBe('refused');
    const name = runtime === deno ? /another process/ : `another process (pid ${process.pid})`;
    expect(await other.line()).toMatch(name);
    // The tries have left no lock behind.
    await store.close();
    await (await Store.open(path)).close();
  });
});

it('a thread gets the store that another thread of the process has had', async () => {
  const path = newPath();
  const store = await Store.open(path);
  await store.put(new Uint8Array(1));
  const worker = new Worker(script, { workerData: [path, forever] });
  const lines: string[] = [];
  worker.on('message', (line: string) => lines.push(line));
  await once(worker, 'message');
  expect(lines).toEqual(['refused']);
  await store.close();
  await once(worker, 'exit');
  expect(lines).toEqual(['refused', 'held 2', 'closed']);
});

it('many processes that wait get the store one after the other', async () => {
  const path = newPath();
  const store = await Store.open(path);
  const kinds = Object.values(runtimes);
  const waiters = kinds.map((runtime) => waiter(path, forever, runtime));
  for (const one of waiters) expect(await one.line()).toBe('refused');
  // Whoever gets the store closes it at once.
  for (const one of waiters) one.tell('close');
  await store.close();
  const batches = await Promise.all(waiters.map((one) => one.line()));
  expect([...batches].sort()).toEqual(kinds.map((_, at) => `held ${at + 1}`));
});
