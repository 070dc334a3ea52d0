/**
 * Linux's list of sockets: whose the sockets of a name are, and what a writer makes of it that cannot
 * give both names of its lock, as on Bun, or gives one of them padded, as on Node 20.
 *
 * What is real here are this process's sockets; those of others are lines added to the list.
 * Real Buns and Denos are in test/processes/locks/lock-pairs.test.ts.
 */

import fs from 'node:fs';
import { createServer, Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { acquireLock } from '../../src/io/node-lock.ts';
import { otherOwner, socketOwners } from '../../src/io/node-socket-list.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

let folder: string;
let fd: number;
let path: string;
beforeEach(() => {
  folder = makeTemporaryFolder();
  path = join(folder, 'file');
  fd = fs.openSync(path, 'w+');
});
afterEach(() => {
  vi.restoreAllMocks();
  fs.closeSync(fd);
  removeTemporaryFolder(folder);
});

/** Full names, which no runtime pads. */
const fullName = (what: string) => `\0varve-test-${process.pid}-${what}`.padEnd(108, '-');

async function listening(name: string): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ path: name, exclusive: true }, resolve));
  return server;
}

/** A line of the list: a socket in that state, with that name, of another process by default. */
function line(state: string, name: string, inode = '4294967290'): string {
  return `0000000000000000: 00000002 00000000 00010000 0001 ${state} ${inode} ${shown(name)}`;
}

/** The inode of a socket that is listed. */
function inodeOf(name: string): string {
  const list = fs.readFileSync('/proc/net/unix', 'latin1').split('\n');
  return list.find((each) => each.endsWith(` ${shown(name)}`))?.split(/ +/)[6] ?? '';
}

const shown = (name: string) => name.replaceAll('\0', '@');

/** What reading the list gives: the real one and the lines that this adds to it each time. */
function addLines(lines: () => readonly string[]): () => number {
  let count = 0;
  replaceList((list) => {
    count += 1;
    return [list, ...lines()].join('\n');
  });
  return () => count;
}

/** Reading the list, and no other file, gives what `change` makes of the real one. */
function replaceList(change: (list: string) => string) {
  const { readFileSync } = fs;
  return vi.spyOn(fs, 'readFileSync').mockImplementation(((...args: [string, 'latin1']) => {
    const text = readFileSync(...args);
    return args[0] === '/proc/net/unix' ? change(text) : text;
  }) as never);
}

describe.skipIf(process.platform !== 'linux')('the owner of the sockets of a name', () => {
  it('is none for a name that no process has', () => {
    expect(socketOwners([fullName('none')])).toEqual({ here: false, elsewhere: false });
  });

  it('is this process while it has one of that name, and no longer', async () => {
    const names = [fullName('own'), fullName('other')];
    const server = await listening(fullName('own'));
    expect(socketOwners(names)).toEqual({ here: true, elsewhere: false });
    expect(socketOwners([fullName('other')])).toEqual({ here: false, elsewhere: false });
    await new Promise((resolve) => server.close(resolve));
    expect(socketOwners(names)).toEqual({ here: false, elsewhere: false });
  });

  it('is another process for a socket that is not of this one', () => {
    addLines(() => [line('01', fullName('foreign'))]);
    expect(socketOwners([fullName('foreign')])).toEqual({ here: false, elsewhere: true });
  });

  it('is none for a longer or shorter name, or for a connection to a socket', () => {
    const name = fullName('close');
    const others = [`${name}\0`, name.slice(0, -1), `${name}-`];
    addLines(() => [...others.map((other) => line('01', other)), line('03', name)]);
    expect(socketOwners([name])).toEqual({ here: false, elsewhere: false });
  });

  it('is unknown if the list cannot be read', () => {
    replaceList(() => {
      throw new Error('no permission');
    });
    expect(socketOwners([fullName('unknown')])).toBeUndefined();
  });
});

describe.skipIf(process.platform !== 'linux')('another owner of the sockets of a name', () => {
  it('is none for a name that no process has, or only this one', async () => {
    expect(await otherOwner([fullName('none')])).toBeUndefined();
    const server = await listening(fullName('own'));
    expect(await otherOwner([fullName('own')])).toBeUndefined();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is unknown if no process shows the socket, or if the list cannot be read', async () => {
    addLines(() => [line('01', fullName('hidden'), '4294967291')]);
    expect(await otherOwner([fullName('hidden')])).toBeUndefined();
    replaceList(() => {
      throw new Error('no permission');
    });
    expect(await otherOwner([fullName('unknown')])).toBeUndefined();
  });

  it('is searched for once, however often a writer that waits asks', async () => {
    addLines(() => [line('01', fullName('asked'), '4294967292')]);
    const folders = vi.spyOn(fs, 'readdirSync');
    const searches = () => folders.mock.calls.filter(([name]) => String(name) === '/proc').length;
    for (let time = 0; time < 5; time += 1) await otherOwner([fullName('asked')]);
    expect(searches()).toBe(1);
  });
});

/** Names of that length cannot be given; what is returned is each name that was asked for. */
function refuseNames(bytes: number): string[] {
  const names: string[] = [];
  const { listen } = Server.prototype;
  vi.spyOn(Server.prototype, 'listen').mockImplementation(function (
    this: Server,
    ...args: unknown[]
  ) {
    const { path: name } = args[0] as { path: string };
    names.push(name);
    if (name.length !== bytes) return Reflect.apply(listen, this, args);
    this.emit('error', Object.assign(new Error('too long'), { code: 'EINVAL' }));
    return this;
  } as never);
  return names;
}

describe.skipIf(process.platform !== 'linux')('a writer that cannot give the longer name', () => {
  it('takes the shorter one', async () => {
    const names = refuseNames(108);
    const lock = await acquireLock({ fd, path }, undefined);
    expect(names.map((name) => name.length)).toEqual([107, 108]);
    await lock.release();
  });

  it('is refused if another process has the longer one, at its first look', async () => {
    const server = await listening(fullName('own'));
    const inode = inodeOf(fullName('own'));
    const names = refuseNames(108);
    // A Node that runs this and pads names has the shorter one in its padded form only.
    const looks = addLines(() => {
      const [shorter = '', longer = ''] = names;
      return [line('01', shorter, inode), line('01', longer)];
    });
    await expect(acquireLock({ fd, path }, undefined)).rejects.toMatchObject({
      code: 'VARVE_LOCKED',
    });
    server.close();
    // One look for the lock, one for the error.
    expect(looks()).toBe(2);
  });

  it('is refused with the reason if it can give neither', async () => {
    vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server) {
      this.emit('error', Object.assign(new Error('too long'), { code: 'EINVAL' }));
      return this;
    } as never);
    await expect(acquireLock({ fd, path }, undefined)).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describe.skipIf(process.platform !== 'linux')('a writer that gives both names', () => {
  /** The shorter name, exactly, of a socket of another process. */
  const foreign = (names: readonly string[]) => line('01', names[0] ?? '');

  it('is refused while another process has one of them, and leaves no lock behind', async () => {
    const names = refuseNames(0);
    addLines(() => [foreign(names)]);
    await expect(acquireLock({ fd, path }, undefined)).rejects.toMatchObject({
      code: 'VARVE_LOCKED',
    });
    vi.restoreAllMocks();
    const lock = await acquireLock({ fd, path }, undefined);
    await lock.release();
  });

  it('gets the lock if that process is seen to withdraw', async () => {
    const names = refuseNames(0);
    let isThere = true;
    const looks = addLines(() => {
      const lines = isThere ? [foreign(names)] : [];
      isThere = false;
      return lines;
    });
    const lock = await acquireLock({ fd, path }, undefined);
    expect(looks()).toBe(2);
    await lock.release();
  });

  it('gets the lock if the list cannot be read, or does not show its own sockets', async () => {
    for (const list of ['', foreign(['\0some other'])]) {
      const read = replaceList(() => list);
      const lock = await acquireLock({ fd, path }, undefined);
      await lock.release();
      read.mockRestore();
    }
  });
});
