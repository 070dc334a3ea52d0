/**
 * A process with one store in it, for questions about whole processes: it loads values, commits
 * until it is killed, or opens what is there.
 *
 * Invariant: the task comes as JSON on the command line and the answer goes as JSON to the standard
 * output; of a loop, a dot for each commit that is durable. Only what the task needs is loaded.
 */

import { writeSync } from 'node:fs';
import {
  type LoneStore,
  type LoneStoreOpener,
  loadNumbered,
  loneStoreOpener,
} from '../support/lone-store.ts';
import { numberedValues } from '../support/numbered-values.ts';
import { processMemory } from '../support/process-memory.ts';
import type { ChildTask, LoadAnswer, OpenAnswer } from '../support/store-process.ts';

async function load(store: LoneStore, task: ChildTask): Promise<LoadAnswer> {
  await loadNumbered(store, task.count, task.together);
  return { memory: processMemory(), cachedBytesMost: store.cachedBytesMost?.() ?? 0 };
}

async function loop(store: LoneStore, { count, together }: ChildTask): Promise<never> {
  const values = numberedValues(count, together);
  for (let first = count; ; first += together) {
    await store.put(first, values);
    writeSync(1, '.');
  }
}

async function open(opener: LoneStoreOpener, folder: string): Promise<OpenAnswer> {
  const began = performance.now();
  const store = await opener(folder);
  const value = store.getMarked();
  const milliseconds = performance.now() - began;
  if (value === undefined) throw new Error('the value that was marked is not there');
  await store.close();
  return { milliseconds };
}

const task = JSON.parse(process.argv[2] ?? '{}') as ChildTask;
const { folder } = task;
if (task.preload !== undefined) await import(task.preload);
const opener = await loneStoreOpener(task.store, task.marked, task.cacheBytes);
if (task.work === 'open') {
  console.log(JSON.stringify(await open(opener, folder)));
} else {
  const store = await opener(folder);
  if (task.work === 'loop') await loop(store, task);
  const answer = await load(store, task);
  await store.close();
  console.log(JSON.stringify(answer));
}
