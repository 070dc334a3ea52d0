/**
 * Starts the children in `bench/children/`, and kills one while it commits.
 *
 * Invariant: only a child that was started here is ever killed, and it is gone, with its locks,
 * before `killedWhileCommitting` resolves. A child that fails is an error here.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ProcessMemory } from './process-memory.ts';

export interface ChildTask {
  readonly work: 'load' | 'loop' | 'open';
  /** `varve` or the name of a peer. */
  readonly store: string;
  readonly folder: string;
  /** Values that are there, or are to be loaded. */
  readonly count: number;
  /** Values a commit. */
  readonly together: number;
  /** Number of the value that is got after opening. */
  readonly marked: number;
  /** Of varve's cache. */
  readonly cacheBytes?: number;
  /** A module that is loaded before the clock runs. */
  readonly preload?: string;
}

export interface LoadAnswer {
  readonly memory: ProcessMemory;
  readonly cachedBytesMost: number;
}

export interface OpenAnswer {
  readonly milliseconds: number;
}

const run = promisify(execFile);

function childPath(name: string): string {
  return fileURLToPath(new URL(`../children/${name}.js`, import.meta.url));
}

/** What a child says, JSON line by line. */
export async function childLines<Line>(name: string, task?: object): Promise<Line[]> {
  const given = task === undefined ? [] : [JSON.stringify(task)];
  const { stdout } = await run(process.execPath, [childPath(name), ...given]);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

/** What a child says that says one thing. */
export async function childAnswer<Answer>(name: string, task?: object): Promise<Answer> {
  const [answer] = await childLines<Answer>(name, task);
  if (answer === undefined) throw new Error(`${name} said nothing`);
  return answer;
}

export function storeAnswer<Answer>(task: ChildTask): Promise<Answer> {
  return childAnswer<Answer>('store-child', task);
}

/** Kills a child that commits without end, so long after its first commit. */
export async function killedWhileCommitting(task: ChildTask, milliseconds: number): Promise<void> {
  const child = spawn(process.execPath, [childPath('store-child'), JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const failed = ended.then(() => {
    throw new Error(`${task.store} ended before it was killed`);
  });
  await Promise.race([once(child.stdout, 'data'), failed]);
  child.stdout.resume();
  await Promise.race([setTimeout(milliseconds), failed]);
  failed.catch(() => undefined);
  child.kill('SIGKILL');
  await ended;
}
