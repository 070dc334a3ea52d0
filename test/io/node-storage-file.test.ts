/**
 * An open file on disk where the system divides, interrupts or holds back its calls: reads and
 * writes stay whole, and `close` waits, so that no call reaches a descriptor that is another file's
 * by then. What files do in general is tested in node-file-system.test.ts.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StorageFile } from '../../src/io/file-system.ts';
import { nodeFileSystem } from '../../src/io/node.ts';
import { NodeStorageFile } from '../../src/io/node-storage-file.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { contentOf } from '../support/file-contents-suite.ts';
import { writing } from '../support/file-system-suite.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

let folder: string;
let file: StorageFile;

beforeEach(async () => {
  folder = makeTemporaryFolder();
  file = await nodeFileSystem.open(join(folder, 'file'), writing);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await file.close();
  removeTemporaryFolder(folder);
});

type Callback = (error: NodeJS.ErrnoException | null, count: number) => void;

const chunks = [patternOf(3), patternOf(0), patternOf(50, 2), patternOf(1, 3), patternOf(9, 4)];
const whole = new Uint8Array(Buffer.concat(chunks));

describe('a system that moves a few bytes a call', () => {
  it('still writes everything, chunk by chunk or at once, sync or not', async () => {
    divide('writevSync', 1);
    divide('writeSync', 3);
    divide('writev', 1);
    file.writeSync(chunks, 5);
    file.writeSync([whole], 100);
    await file.write(chunks, 200);
    await file.write([whole], 300);
    vi.restoreAllMocks();
    for (const position of [5, 100, 200, 300]) {
      const found = new Uint8Array(whole.length);
      expect(file.readSync(found, position)).toBe(whole.length);
      expectSameBytes(found, whole);
    }
  });

  it('still fills the target of a read', async () => {
    file.writeSync(chunks, 0);
    const spies = [divide('readSync', 3), divide('read', 3)];
    const target = new Uint8Array(whole.length);
    expect(file.readSync(target, 0)).toBe(whole.length);
    expectSameBytes(target, whole);
    target.fill(0);
    expect(await file.read(target, 0)).toBe(whole.length);
    expectSameBytes(target, whole);
    for (const spy of spies) expect(spy).toHaveBeenCalledTimes(Math.ceil(whole.length / 7));
  });
});

describe('a system that fails calls', () => {
  it('repeats its reads if a signal interrupted them', async () => {
    file.writeSync([patternOf(10)], 0);
    const interrupted = codeError('EINTR');
    vi.spyOn(fs, 'readSync').mockImplementationOnce(() => {
      throw interrupted;
    });
    vi.spyOn(fs, 'read').mockImplementationOnce(((...args: unknown[]) => {
      (args.at(-1) as Callback)(interrupted, 0);
    }) as typeof fs.read);
    const target = new Uint8Array(10);
    expect(file.readSync(target, 0)).toBe(10);
    expectSameBytes(target, patternOf(10));
    target.fill(0);
    expect(await file.read(target, 0)).toBe(10);
    expectSameBytes(target, patternOf(10));
  });

  it('passes every other error on as it is, also in the middle of a write', async () => {
    const full = codeError('ENOSPC');
    const refusal = expect.objectContaining({ code: 'ENOSPC' });
    vi.spyOn(fs, 'writevSync')
      .mockImplementationOnce(() => 4)
      .mockImplementationOnce(() => {
        throw full;
      });
    expect(() => file.writeSync(chunks, 0)).toThrow(refusal);
    const answers: [NodeJS.ErrnoException | null, number][] = [
      [null, 4],
      [full, 0],
    ];
    vi.spyOn(fs, 'writev').mockImplementation(((...args: unknown[]) => {
      (args.at(-1) as Callback)(...(answers.shift() ?? [null, 0]));
    }) as typeof fs.writev);
    await expect(file.write(chunks, 0)).rejects.toThrow(refusal);
    for (const method of ['ftruncate', 'fdatasync', 'read'] as const) {
      vi.spyOn(fs, method).mockImplementation(((...args: unknown[]) => {
        (args.at(-1) as Callback)(full, 0);
      }) as never);
    }
    await expect(file.truncate(5)).rejects.toThrow(refusal);
    await expect(file.datasync()).rejects.toThrow(refusal);
    await expect(file.read(new Uint8Array(1), 0)).rejects.toThrow(refusal);
  });

  it('ends with EIO if it writes nothing and reports no error', async () => {
    const refusal = expect.objectContaining({ code: 'EIO' });
    vi.spyOn(fs, 'writevSync').mockReturnValue(0);
    vi.spyOn(fs, 'writev').mockImplementation(((...args: unknown[]) => {
      (args.at(-1) as Callback)(null, 0);
    }) as typeof fs.writev);
    expect(() => file.writeSync(chunks, 0)).toThrow(refusal);
    await expect(file.write(chunks, 0)).rejects.toThrow(refusal);
  });
});

describe('buffers', () => {
  it('go to the system without a copy', async () => {
    const writevSync = vi.spyOn(fs, 'writevSync');
    const writev = vi.spyOn(fs, 'writev');
    file.writeSync(chunks, 0);
    await file.write(chunks, 0);
    expect(writevSync.mock.calls[0]?.[1]).toBe(chunks);
    expect(writev.mock.calls[0]?.[1]).toBe(chunks);
  });
});

describe('closing', () => {
  it('waits for every call under way before it gives up the lock and the descriptor', async () => {
    const held: (() => void)[] = [];
    const fdatasync = fs.fdatasync;
    vi.spyOn(fs, 'fdatasync').mockImplementation(((fd: number, done: fs.NoParamCallback) => {
      held.push(() => fdatasync(fd, done));
    }) as typeof fs.fdatasync);
    const close = vi.spyOn(fs, 'close');
    const syncs = [file.datasync(), file.datasync()];
    const closed = file.close();
    held.pop()?.();
    await syncs[1];
    await turnOfTheLoop();
    expect(close).not.toHaveBeenCalled();
    const again = nodeFileSystem.open(join(folder, 'file'), writing);
    await expect(again).rejects.toMatchObject({ code: 'VARVE_LOCKED' });
    held.pop()?.();
    await syncs[0];
    await closed;
    expect(close).toHaveBeenCalledTimes(1);
  });

  it('waits for all of a write that takes several calls', async () => {
    const spy = divide('writev', 1);
    const written = file.write([whole], 0);
    await file.close();
    await written;
    expect(spy).toHaveBeenCalledTimes(Math.ceil(whole.length / 7));
    file = await nodeFileSystem.open(join(folder, 'file'), writing);
    expectSameBytes(contentOf(file), whole);
  });

  it('closes the descriptor also if the lock cannot be released, and rejects', async () => {
    const fd = fs.openSync(join(folder, 'other'), 'w+');
    const lock = { release: () => Promise.reject(codeError('EIO')) };
    const other = new NodeStorageFile({ fd, path: 'other', lock, addon: undefined });
    await expect(other.close()).rejects.toMatchObject({ code: 'EIO' });
    await expect(other.close()).rejects.toMatchObject({ code: 'EIO' });
    expect(() => fs.fstatSync(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});

describe('trim', () => {
  it('is absent if the addon is', () => {
    const fd = fs.openSync(join(folder, 'other'), 'w+');
    const other = new NodeStorageFile({ fd, path: 'other', lock: undefined, addon: undefined });
    expect('trim' in other).toBe(false);
    fs.closeSync(fd);
  });

  it('marks the file as sparse first, and never reaches past its end', async () => {
    const fd = fs.openSync(join(folder, 'other'), 'w+');
    fs.ftruncateSync(fd, 10_000);
    const calls: unknown[][] = [];
    const addon = {
      tryLock: () => true,
      unlock: () => {},
      sparse: async (...args: unknown[]) => void calls.push(['sparse', ...args]),
      trim: async (...args: unknown[]) => void calls.push(['trim', ...args]),
    };
    const lock = { release: async () => {} };
    const other = new NodeStorageFile({ fd, path: 'other', lock, addon });
    await other.trim?.(4096, 2 ** 40);
    await other.trim?.(12_288, 4096);
    expect(calls).toEqual([
      ['sparse', fd],
      ['trim', fd, 4096, 10_000 - 4096],
    ]);
    await other.close();
  });
});

function codeError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made for the test`), { code });
}

/**
 * Lets each call of one of Node's functions move at most seven bytes. The argument at `index` is
 * the number of bytes, or the buffers.
 */
function divide(
  method: 'read' | 'readSync' | 'writeSync' | 'writev' | 'writevSync',
  index: number,
) {
  const original = fs[method] as (...args: unknown[]) => unknown;
  return vi.spyOn(fs, method).mockImplementation(((...args: unknown[]) => {
    const asked = args[index] as number | readonly Uint8Array[];
    const less =
      typeof asked === 'number' ? Math.min(asked, 7) : [Buffer.concat(asked).subarray(0, 7)];
    return original(...args.with(index, less));
  }) as never);
}

/** Lets everything run that is ready to run. */
function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
