/**
 * The writer's lock between processes: refused while another process has it, free as soon as that
 * lets go or is killed, and held by nobody else, children and readers included.
 *
 * The other processes run the built library (`npm test` builds it first) and say by lines on their
 * stdout how far they are; nothing here waits for time to pass.
 */

import { once } from 'node:events';
import fs from 'node:fs';
import { Server } from 'node:net';

import { Worker } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { acquireLock } from '../../src/io/node-lock.ts';
import { loadNativeExtensions } from '../../src/io/node-native-extensions.ts';

import {
  addonThat,
  Holder,
  here,
  holderOf,
  kinds,
  lockInCluster,
  locksOfTest,
  newFile,
  openTarget,
} from './lock-files.ts';

locksOfTest();

for (const first of kinds) {
  for (const second of kinds) {
    const hold = (path: string): Holder => holderOf(first, path);
    const ask = (path: string): Holder => holderOf(second, path);
    const take = here[first];
    const takeSecond = here[second];

    describe(`the lock between processes (${first} first, ${second} second)`, () => {
      it('is refused with VARVE_LOCKED while another process has it', async () => {
        const path = newFile();
        const holder = hold(path);
        expect(await holder.line()).toBe('held');
        expect(await ask(path).line()).toBe('VARVE_LOCKED');
        await expect(takeSecond(openTarget(path))).rejects.toMatchObject({
          name: 'VarveError',
          code: 'VARVE_LOCKED',
          path,
          pid: holder.pid,
          message: expect.stringContaining(
            `is open for writing by another process (pid ${holder.pid}): close it`,
          ),
        });
      });

      it('is refused to another process while this one has it', async () => {
        const path = newFile();
        const lock = await take(openTarget(path));
        expect(await ask(path).line()).toBe('VARVE_LOCKED');
        await lock.release();
        expect(await ask(path).line()).toBe('held');
      });

      it('is free as soon as its holder releases it', async () => {
        const path = newFile();
        const holder = hold(path);
        expect(await holder.line()).toBe('held');
        await expect(takeSecond(openTarget(path))).rejects.toThrow();
        holder.tell('release');
        expect(await holder.line()).toBe('released');
        const lock = await takeSecond(openTarget(path));
        await lock.release();
        expect(await ask(path).line()).toBe('held');
      });

      it('is taken over after its holder was killed', async () => {
        const path = newFile();
        const holder = hold(path);
        expect(await holder.line()).toBe('held');
        expect(await ask(path).line()).toBe('VARVE_LOCKED');
        await holder.kill();
        expect(await ask(path).line()).toBe('held');
      });

      it('ends with its holder even if a child process of it lives on', async () => {
        const path = newFile();
        const holder = hold(path);
        expect(await holder.line()).toBe('held');
        holder.tell('start a child');
        expect(await holder.line()).toBe('started');
        await holder.kill();
        expect(await ask(path).line()).toBe('held');
      });

      it('does not keep its holder from ending', async () => {
        const path = newFile();
        const holder = holderOf(first, path, 'leave');
        expect(await holder.line()).toBe('held');
        expect(await holder.exit()).toBe(0);
        expect(await ask(path).line()).toBe('held');
      });

      it('is one lock for every path to the file', async () => {
        const path = newFile();
        fs.linkSync(path, `${path}-linked`);
        fs.symlinkSync(path, `${path}-symlinked`);
        await take(openTarget(path));
        expect(await ask(`${path}-linked`).line()).toBe('VARVE_LOCKED');
        expect(await ask(`${path}-symlinked`).line()).toBe('VARVE_LOCKED');
      });

      it('is refused to a second copy of the library in this process, which it names', async () => {
        const path = newFile();
        const lock = await take(openTarget(path));
        const refusal = { code: 'VARVE_LOCKED', message: expect.stringContaining('this process') };
        // A copy in this thread, and one that shares nothing with this, as in another realm.
        for (const isShared of [true, false]) {
          vi.resetModules();
          const forget = isShared ? () => {} : hideSharedSet();
          const copy = await import('../../src/io/node-lock.ts');
          const addon = second === 'file' ? await loadNativeExtensions() : undefined;
          await expect(copy.acquireLock(openTarget(path), addon)).rejects.toMatchObject(refusal);
          forget();
        }
        await lock.release();
      });

      it('is refused to another thread of this process, which it names', async () => {
        const path = newFile();
        const lock = await take(openTarget(path));
        expect(await messageInThread(path)).toContain('is open for writing by this process');
        await lock.release();
        expect(await messageInThread(path)).toBe('held');
      });

      it('is refused within this process, and free once released', async () => {
        const path = newFile();
        const lock = await take(openTarget(path));
        await expect(takeSecond(openTarget(path))).rejects.toMatchObject({
          code: 'VARVE_LOCKED',
          pid: process.pid,
          message: expect.stringContaining('this process'),
        });
        await lock.release();
        const next = await takeSecond(openTarget(path));
        await next.release();
      });
    });
  }
}

/** Hides what the copies of the library in one realm share; what is returned brings it back. */
function hideSharedSet(): () => void {
  const shared = globalThis as unknown as Record<symbol, unknown>;
  const key = Symbol.for('varve.filesOpenForWriting');
  const set = shared[key];
  expect(set).toBeInstanceOf(Set);
  shared[key] = undefined;
  return () => {
    shared[key] = set;
  };
}

/** Opens the file in a thread with a copy of the library: `held`, or the message of the error. */
async function messageInThread(path: string): Promise<unknown> {
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    const answer = import(workerData.library)
      .then(({ nodeFileSystem }) => nodeFileSystem.open(workerData.path, workerData.options))
      .then((file) => file.close().then(() => 'held'), (error) => error.message);
    answer.then((message) => parentPort.postMessage(message));`;
  const library = new URL('../../dist/index.js', import.meta.url).href;
  const options = { create: false, exclusive: false, readOnly: false };
  const worker = new Worker(program, { eval: true, workerData: { library, path, options } });
  const [message] = await once(worker, 'message');
  await worker.terminate();
  return message;
}

describe('the locks of a writer, all or none', () => {
  /** The byte of the lock, as an addon of another process would ask for it. */
  async function isByteFree(path: string): Promise<boolean> {
    const addon = await loadNativeExtensions();
    const { fd } = openTarget(path);
    const isFree = addon?.tryLock(fd, 2 ** 52, 1) === true;
    if (isFree) addon?.unlock(fd, 2 ** 52, 1);
    return isFree;
  }

  it('are the byte and the sockets, if the addon loads on Linux', async () => {
    const path = newFile();
    const lock = await here.file(openTarget(path));
    expect(await isByteFree(path)).toBe(false);
    expect(await holderOf('fallback', path).line()).toBe('VARVE_LOCKED');
    await lock.release();
    expect(await isByteFree(path)).toBe(true);
  });

  it('have no pid while their holder has the byte and not yet the sockets', async () => {
    const path = newFile();
    const addon = await loadNativeExtensions();
    const { fd } = openTarget(path);
    expect(addon?.tryLock(fd, 2 ** 52, 1)).toBe(true);
    await expect(here.file(openTarget(path))).rejects.toMatchObject({
      code: 'VARVE_LOCKED',
      pid: undefined,
      message: expect.stringContaining('by another writer, which is just opening or closing it'),
    });
    addon?.unlock(fd, 2 ** 52, 1);
    const lock = await here.file(openTarget(path));
    await lock.release();
  });

  it('are none if the last is taken', async () => {
    const path = newFile();
    const holder = holderOf('fallback', path);
    expect(await holder.line()).toBe('held');
    await expect(here.file(openTarget(path))).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
    expect(await isByteFree(path)).toBe(true);
  });

  it('are none if the last cannot be acquired, and the reason is the error', async () => {
    for (const failing of [1, 2]) {
      const path = newFile();
      const listening = failListening(failing, 'EACCES');
      await expect(here.file(openTarget(path))).rejects.toMatchObject({ code: 'EACCES' });
      listening.mockRestore();
      expect(await isByteFree(path)).toBe(true);
      expect(await holderOf('fallback', path).line()).toBe('held');
    }
  });

  it('are none if the first cannot be acquired', async () => {
    const path = newFile();
    const addon = addonThat({ tryLock: codeError('ENOLCK') });
    await expect(acquireLock(openTarget(path), addon)).rejects.toMatchObject({ code: 'ENOLCK' });
    expect(await holderOf('fallback', path).line()).toBe('held');
  });

  it('are all released, even if releasing one of them fails', async () => {
    const path = newFile();
    const addon = addonThat({ unlock: codeError('EIO') });
    const lock = await acquireLock(openTarget(path), addon);
    await expect(lock.release()).rejects.toMatchObject({ code: 'EIO' });
    expect(await holderOf('fallback', path).line()).toBe('held');
  });

  it('do not stop the next writer after a failure', async () => {
    const target = openTarget(newFile());
    const listening = failListening(2, 'EMFILE');
    await expect(here.fallback(target)).rejects.toMatchObject({ code: 'EMFILE' });
    listening.mockRestore();
    const lock = await here.file(target);
    await lock.release();
  });
});

/** The addon's calls without a kernel behind them; those that are given throw. */
function codeError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** The call of that number, from 1, fails to listen. */
function failListening(failing: number, code: string) {
  const { listen } = Server.prototype;
  let count = 0;
  return vi.spyOn(Server.prototype, 'listen').mockImplementation(function (
    this: Server,
    ...args: unknown[]
  ) {
    count += 1;
    if (count !== failing) return Reflect.apply(listen, this, args);
    this.emit('error', codeError(code));
    return this;
  } as never);
}

describe('a lock that this process is asking for', () => {
  it('is refused, and is not said to be open here if it is refused in the end', async () => {
    const path = newFile();
    const holder = holderOf('file', path);
    expect(await holder.line()).toBe('held');
    const both = [here.file(openTarget(path)), here.file(openTarget(path))];
    const [first, second] = await Promise.allSettled(both);
    expect(first).toMatchObject({ reason: { code: 'VARVE_LOCKED', pid: holder.pid } });
    const message = expect.stringContaining('by this process, which is just opening it,');
    expect(second).toMatchObject({ reason: { code: 'VARVE_LOCKED', pid: process.pid, message } });
  });
});

describe('the lock without native code', () => {
  it('is not shared by the workers of a cluster', async () => {
    const cluster = new Holder([lockInCluster, newFile()]);
    expect(await cluster.line()).toBe('held');
    expect(await cluster.line()).toBe('VARVE_LOCKED');
    expect(await cluster.exit()).toBe(0);
  });

  it('uses the real path if the file system numbers no files', async () => {
    const numberless = fs.fstatSync(openTarget(newFile()).fd, { bigint: true });
    numberless.ino = 0n;
    vi.spyOn(fs, 'fstatSync').mockReturnValue(numberless as never);
    const path = newFile();
    fs.symlinkSync(path, `${path}-symlinked`);
    const lock = await here.fallback(openTarget(path));
    const other = await here.fallback(openTarget(newFile()));
    await expect(here.fallback(openTarget(`${path}-symlinked`))).rejects.toMatchObject({
      code: 'VARVE_LOCKED',
    });
    await lock.release();
    await other.release();
  });
});
