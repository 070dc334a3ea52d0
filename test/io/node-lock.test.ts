/**
 * The writer's lock between processes: refused while another process has it, free as soon as that
 * lets go or is killed, and held by nobody else, children and readers included.
 *
 * The other processes run the built library (`npm test` builds it first) and say by lines on their
 * stdout how far they are; nothing here waits for time to pass.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { Server } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { LockTarget } from '../../src/io/node-fallback-lock.ts';
import { acquireFallbackLock, acquireLock } from '../../src/io/node-lock.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

let folder: string;
let fileCount = 0;
const holders: Holder[] = [];
const descriptors: number[] = [];

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

function newFile(): string {
  fileCount += 1;
  const path = join(folder, `file-${fileCount}`);
  fs.writeFileSync(path, 'bytes');
  return path;
}

function openTarget(path: string): LockTarget {
  const fd = fs.openSync(path, 'r+');
  descriptors.push(fd);
  return { fd, path };
}

const lockHolder = fileURLToPath(new URL('../support/lock-holder.mjs', import.meta.url));
const lockInCluster = fileURLToPath(new URL('../support/lock-in-cluster.mjs', import.meta.url));

/** A process that runs one of the two. */
class Holder {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown[]>;

  constructor(program: string, ...args: string[]) {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#exited = once(child, 'exit');
    holders.push(this);
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

const here = { file: acquireLock, fallback: acquireFallbackLock };

for (const kind of ['file', 'fallback'] as const) {
  const hold = (path: string): Holder => new Holder(lockHolder, kind, path);

  describe(`the lock between processes (${kind})`, () => {
    it('is refused with VARVE_LOCKED while another process has it', async () => {
      const path = newFile();
      const first = hold(path);
      expect(await first.line()).toBe('held');
      const second = hold(path);
      expect(await second.line()).toBe('VARVE_LOCKED');
      await expect(here[kind](openTarget(path))).rejects.toMatchObject({
        name: 'VarveError',
        code: 'VARVE_LOCKED',
        path,
        message: expect.stringContaining('another process'),
      });
    });

    it('is refused to another process while this one has it', async () => {
      const path = newFile();
      const lock = await here[kind](openTarget(path));
      expect(await hold(path).line()).toBe('VARVE_LOCKED');
      await lock.release();
      expect(await hold(path).line()).toBe('held');
    });

    it('is free as soon as its holder lets go of it', async () => {
      const path = newFile();
      const first = hold(path);
      expect(await first.line()).toBe('held');
      await expect(here[kind](openTarget(path))).rejects.toThrow();
      first.tell('release');
      expect(await first.line()).toBe('released');
      const lock = await here[kind](openTarget(path));
      await lock.release();
      expect(await hold(path).line()).toBe('held');
    });

    it('is taken over after its holder was killed', async () => {
      const path = newFile();
      const first = hold(path);
      expect(await first.line()).toBe('held');
      expect(await hold(path).line()).toBe('VARVE_LOCKED');
      await first.kill();
      expect(await hold(path).line()).toBe('held');
    });

    it('dies with its holder even where a child process of it lives on', async () => {
      const path = newFile();
      const first = hold(path);
      expect(await first.line()).toBe('held');
      first.tell('start a child');
      expect(await first.line()).toBe('started');
      await first.kill();
      expect(await hold(path).line()).toBe('held');
    });

    it('does not keep its holder from ending', async () => {
      const path = newFile();
      const first = new Holder(lockHolder, kind, path, 'leave');
      expect(await first.line()).toBe('held');
      expect(await first.exit()).toBe(0);
      expect(await hold(path).line()).toBe('held');
    });

    it('is one lock for every path to the file', async () => {
      const path = newFile();
      fs.linkSync(path, `${path}-linked`);
      fs.symlinkSync(path, `${path}-symlinked`);
      await here[kind](openTarget(path));
      expect(await hold(`${path}-linked`).line()).toBe('VARVE_LOCKED');
      expect(await hold(`${path}-symlinked`).line()).toBe('VARVE_LOCKED');
    });

    it('is refused to a second copy of the library in one process', async () => {
      const path = newFile();
      const lock = await here[kind](openTarget(path));
      vi.resetModules();
      const copy = await import('../../src/io/node-lock.ts');
      const acquire = kind === 'file' ? copy.acquireLock : copy.acquireFallbackLock;
      await expect(acquire(openTarget(path))).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
      await lock.release();
    });

    it('is refused within this process, and free once let go', async () => {
      const path = newFile();
      const lock = await here[kind](openTarget(path));
      await expect(here[kind](openTarget(path))).rejects.toMatchObject({
        code: 'VARVE_LOCKED',
        message: expect.stringContaining('this process'),
      });
      await lock.release();
      const next = await here[kind](openTarget(path));
      await next.release();
    });
  });
}

describe('the lock without native code', () => {
  it('is not shared by the workers of a cluster', async () => {
    const cluster = new Holder(lockInCluster, newFile());
    expect(await cluster.line()).toBe('held');
    expect(await cluster.line()).toBe('VARVE_LOCKED');
    expect(await cluster.exit()).toBe(0);
  });

  it('goes by the real path where the file system numbers no files', async () => {
    const numberless = fs.fstatSync(openTarget(newFile()).fd, { bigint: true });
    numberless.ino = 0n;
    vi.spyOn(fs, 'fstatSync').mockReturnValue(numberless as never);
    const path = newFile();
    fs.symlinkSync(path, `${path}-symlinked`);
    const lock = await acquireFallbackLock(openTarget(path));
    const other = await acquireFallbackLock(openTarget(newFile()));
    await expect(acquireFallbackLock(openTarget(`${path}-symlinked`))).rejects.toMatchObject({
      code: 'VARVE_LOCKED',
    });
    await lock.release();
    await other.release();
  });
});

describe('the lock without native code on another platform', () => {
  const { platform } = process;
  afterEach(() => setPlatform(platform));

  it('is a socket whose name fills the address on Linux, and a pipe on Windows', async () => {
    const names: unknown[] = [];
    const listen = vi.spyOn(Server.prototype, 'listen').mockImplementation(function (
      this: Server,
      options: unknown,
    ) {
      names.push((options as { path: string }).path);
      this.emit('error', Object.assign(new Error('in use'), { code: 'EADDRINUSE' }));
      return this;
    } as never);
    const target = openTarget(newFile());
    for (const name of ['linux', 'win32']) {
      setPlatform(name);
      await expect(acquireFallbackLock(target)).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
    }
    // Shorter names are padded with zeros by some versions of libuv, and not by others.
    expect(names[0]).toMatch(/^\0varve-lock-[0-9a-f]{32}-{64}$/);
    expect(names[0]).toHaveLength(108);
    expect(names[1]).toMatch(/^\\\\\.\\pipe\\varve-lock-[0-9a-f]{32}$/);
    listen.mockImplementation(function (this: Server) {
      this.emit('error', Object.assign(new Error('no'), { code: 'EACCES' }));
      return this;
    });
    await expect(acquireFallbackLock(target)).rejects.toMatchObject({ code: 'EACCES' });
  });

  it('is refused with ENOTSUP where there is nothing to make it of', async () => {
    setPlatform('sunos');
    const target = openTarget(newFile());
    await expect(acquireFallbackLock(target)).rejects.toMatchObject({ code: 'ENOTSUP' });
  });

  it('is refused with ENOTSUP where the system opens the file for two at once', async () => {
    setPlatform('darwin');
    const target = openTarget(newFile());
    const before = openDescriptors();
    // What a system does that knows no O_EXLOCK: it opens the file and takes no lock.
    mockOpenLocks(() => false);
    await expect(acquireFallbackLock(target)).rejects.toMatchObject({ code: 'ENOTSUP' });
    expect(openDescriptors()).toBe(before);
  });

  it('is the one of O_EXLOCK on macOS and the BSDs, and ends with its descriptor', async () => {
    setPlatform('freebsd');
    const target = openTarget(newFile());
    const before = openDescriptors();
    const calls = mockOpenLocks((count) => count > 1);
    const lock = await acquireFallbackLock(target);
    expect(calls()).toBe(2);
    expect(openDescriptors()).toBe(before + 1);
    await lock.release();
    expect(openDescriptors()).toBe(before);
  });

  it('is refused with VARVE_LOCKED where O_EXLOCK finds it taken', async () => {
    setPlatform('darwin');
    const target = openTarget(newFile());
    mockOpenLocks(() => true);
    await expect(acquireFallbackLock(target)).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
  });

  it('is refused with ESTALE where the path leads to another file by now', async () => {
    setPlatform('darwin');
    const target = openTarget(newFile());
    fs.renameSync(newFile(), target.path);
    mockOpenLocks((count) => count > 1);
    await expect(acquireFallbackLock(target)).rejects.toMatchObject({ code: 'ESTALE' });
  });
});

function setPlatform(platform: string): void {
  Object.defineProperty(process, 'platform', { value: platform });
}

function openDescriptors(): number {
  return fs.readdirSync('/dev/fd').length;
}

/** Stands in for O_EXLOCK: the call of that number (from 1) finds the lock taken or gets it. */
function mockOpenLocks(isTaken: (count: number) => boolean): () => number {
  const open = fs.openSync;
  let count = 0;
  vi.spyOn(fs, 'openSync').mockImplementation((path, flags, mode) => {
    if (typeof flags !== 'number' || (flags & 0x20) === 0) return open(path, flags, mode);
    count += 1;
    if (isTaken(count)) throw Object.assign(new Error('EAGAIN: locked'), { code: 'EAGAIN' });
    return open(path, 'r');
  });
  return () => count;
}
