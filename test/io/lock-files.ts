/**
 * What tests of the writer's lock share: files to lock, other processes that lock them, and addons
 * that fail.
 *
 * Invariant: descriptors are closed and processes ended when a test has ended.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';

import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { afterAll, afterEach, beforeAll, vi } from 'vitest';
import { acquireLock } from '../../src/io/node-lock.ts';
import {
  loadNativeExtensions,
  type NativeExtensions,
} from '../../src/io/node-native-extensions.ts';
import type { LockTarget } from '../../src/io/node-platform-lock.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

let folder: string;
let fileCount = 0;
const holders: Holder[] = [];
const descriptors: number[] = [];

/** To be called once at the top of a test file: everything is let go of after each test. */
export function locksOfTest(): void {
  beforeAll(() => {
    folder = makeTemporaryFolder();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    for (const holder of holders.splice(0)) await holder.end();
    for (const fd of descriptors.splice(0)) fs.closeSync(fd);
  });
  afterAll(() => {
    removeTemporaryFolder(folder);
  });
}

export function newFile(): string {
  fileCount += 1;
  const path = join(folder, `file-${fileCount}`);
  fs.writeFileSync(path, 'bytes');
  return path;
}

export function openTarget(path: string): LockTarget {
  const fd = fs.openSync(path, 'r+');
  descriptors.push(fd);
  return { fd, path };
}

const lockHolder = fileURLToPath(new URL('../support/lock-holder.mjs', import.meta.url));
export const lockInCluster = fileURLToPath(
  new URL('../support/lock-in-cluster.mjs', import.meta.url),
);

/** A process that runs one of the two. */
export class Holder {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown[]>;

  /** `args` are those of Node: options, the program, its arguments. */
  constructor(args: readonly string[]) {
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#exited = once(child, 'exit');
    holders.push(this);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async line(): Promise<string | undefined> {
    const { value } = await this.#lines.next();
    return value;
  }

  tell(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exited;
  }

  async exit(): Promise<unknown> {
    const [code] = await this.#exited;
    return code;
  }

  async end(): Promise<void> {
    this.#process.stdin?.end();
    await this.#exited;
  }
}

/** A process that takes the lock, as a store does where the addon loads and where it does not. */
export function holderOf(kind: (typeof kinds)[number], ...args: string[]): Holder {
  return new Holder([...(kind === 'fallback' ? ['--no-addons'] : []), lockHolder, ...args]);
}

/** As a store takes it here, and as one does where the addon does not load. */
export const here = {
  file: async (target: LockTarget) => acquireLock(target, await loadNativeExtensions()),
  fallback: (target: LockTarget) => acquireLock(target, undefined),
};
export const kinds = ['file', 'fallback'] as const;

export function addonThat(failing: { tryLock?: Error; unlock?: Error }): NativeExtensions {
  const attempt = (error: Error | undefined) => {
    if (error !== undefined) throw error;
  };
  return {
    tryLock: () => attempt(failing.tryLock) === undefined,
    unlock: () => attempt(failing.unlock),
    trim: async () => undefined,
    sparse: async () => undefined,
  };
}
