/**
 * The writer's lock as other systems have it, each told by `process.platform`: what the lock is made
 * of there, and what is refused where it cannot be made.
 */

import fs from 'node:fs';
import { Server } from 'node:net';

import { afterEach, describe, expect, it, vi } from 'vitest';
import { acquireLock } from '../../src/io/node-lock.ts';

import { addonThat, here, locksOfTest, newFile, openTarget } from './lock-files.ts';

locksOfTest();

describe('the lock on another platform', () => {
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
      await expect(here.fallback(target)).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
    }
    // Of the two lengths the one that every runtime can ask for comes first.
    expect(names[0]).toMatch(/^\0varve-lock-[0-9a-f]+-[0-9a-f]+-+$/);
    expect(names[0]).toHaveLength(107);
    expect(names[1]).toMatch(/^\\\\\.\\pipe\\varve-lock-[0-9a-f]+-[0-9a-f]+$/);
    listen.mockImplementation(function (this: Server) {
      this.emit('error', Object.assign(new Error('no'), { code: 'EACCES' }));
      return this;
    });
    await expect(here.fallback(target)).rejects.toMatchObject({ code: 'EACCES' });
  });

  it('is refused within this process if the kernel’s lock belongs to the process', async () => {
    setPlatform('freebsd');
    const path = newFile();
    const lock = await acquireLock(openTarget(path), addonThat({}));
    const refusal = { code: 'VARVE_LOCKED', message: expect.stringContaining('this process') };
    await expect(acquireLock(openTarget(path), addonThat({}))).rejects.toMatchObject(refusal);
    await lock.release();
    const next = await acquireLock(openTarget(path), addonThat({}));
    await next.release();
  });

  it('is refused with ENOTSUP if no kind of lock is available', async () => {
    setPlatform('sunos');
    const target = openTarget(newFile());
    await expect(here.fallback(target)).rejects.toMatchObject({ code: 'ENOTSUP' });
  });

  it('is refused with ENOTSUP if the system opens the file for two at once', async () => {
    setPlatform('darwin');
    const target = openTarget(newFile());
    const before = openDescriptors();
    // What a system does that knows no O_EXLOCK: it opens the file and takes no lock.
    mockOpenLocks(() => false);
    await expect(here.fallback(target)).rejects.toMatchObject({ code: 'ENOTSUP' });
    expect(openDescriptors()).toBe(before);
  });

  it('is O_EXLOCK on macOS and the BSDs, and ends with its descriptor', async () => {
    setPlatform('freebsd');
    const target = openTarget(newFile());
    const before = openDescriptors();
    const calls = mockOpenLocks((count) => count > 1);
    const lock = await here.fallback(target);
    expect(calls()).toBe(2);
    expect(openDescriptors()).toBe(before + 1);
    await lock.release();
    expect(openDescriptors()).toBe(before);
  });

  it('is refused with VARVE_LOCKED if O_EXLOCK finds it taken', async () => {
    setPlatform('darwin');
    const target = openTarget(newFile());
    mockOpenLocks(() => true);
    await expect(here.fallback(target)).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
  });

  it('is refused with ESTALE if the path leads to another file by now', async () => {
    setPlatform('darwin');
    const target = openTarget(newFile());
    fs.renameSync(newFile(), target.path);
    mockOpenLocks((count) => count > 1);
    await expect(here.fallback(target)).rejects.toMatchObject({ code: 'ESTALE' });
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
