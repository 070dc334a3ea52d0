/**
 * Opening on a real disk: every rejection of `Store.open`, and that a file which is refused is left
 * byte for byte, and in its times, as it was.
 *
 * What the options say is in options.test.ts.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  memoryFileSystem,
  nodeFileSystem,
  type StoreOptions,
  type VarveErrorCode,
} from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import {
  bytesOf,
  check,
  committed,
  contentOf,
  longBytesOf,
  overwrite,
  placeOf,
  storePath,
  storesOfTest,
} from '../support/fixtures/store-checks.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

const stores = storesOfTest();
const kibibyte = 1024;
const headerBytes = 0.5 * kibibyte;
const secondHeader = 4 * kibibyte;
const versionOffset = 8;
const flagsOffset = 12;
const everyWay: readonly StoreOptions[] = [{}, { create: false }, { readOnly: true }];

let folder: string;
let path: string;
beforeEach(() => {
  folder = makeTemporaryFolder();
  path = join(folder, 'store');
});
afterEach(() => removeTemporaryFolder(folder));

/** Refused with this code in every way of opening, and unchanged by it. */
async function expectRefused(bytes: Uint8Array, code: VarveErrorCode): Promise<void> {
  fs.writeFileSync(path, bytes);
  fs.utimesSync(path, 1, 2);
  for (const options of everyWay) {
    const error = await check.rejects(code, () => stores.open(path, options));
    expect(error.message).not.toMatch(/undefined|NaN/);
  }
  expect(Buffer.compare(fs.readFileSync(path), bytes)).toBe(0);
  expect(fs.statSync(path).mtimeMs).toBe(2000);
  expect(fs.readdirSync(folder)).toEqual(['store']);
}

/** The bytes of a sound store with one value. */
async function storeBytes(): Promise<Uint8Array> {
  const fileSystem = memoryFileSystem();
  const store = await stores.open(storePath, { fileSystem });
  await committed(store, bytesOf('a value'));
  await store.close();
  return await contentOf(fileSystem);
}

/** Changes one copy of the file header and makes its checksum right again. */
function changeHeader(bytes: Uint8Array, copyOffset: number, at: number, value: number): void {
  const sector = Buffer.from(bytes.buffer, bytes.byteOffset + copyOffset, headerBytes);
  sector.writeUInt32LE(value, at);
  sector.writeUInt32LE(crc32(sector.subarray(0, headerBytes - 4)), headerBytes - 4);
}

describe('a file that is no store', () => {
  const page = 4 * kibibyte;
  const others: readonly (readonly [string, Uint8Array])[] = [
    ['a text', bytesOf('This is a letter to the editor.\n')],
    ['one byte', Uint8Array.of(1)],
    ['the start of the magic', bytesOf('varv')],
    ['random bytes', patternOf(300 * kibibyte, 77)],
    ['an SQLite database', bytesOf(`SQLite format 3\0${'\0'.repeat(page)}`)],
    ['zeros with one other byte at the end', new Uint8Array(page).fill(7, page - 1)],
    ['zeros, longer than a new store', new Uint8Array(kibibyte * kibibyte)],
  ];
  for (const [what, bytes] of others) {
    it(`is VARVE_NOT_A_STORE and stays as it is: ${what}`, async () => {
      await expectRefused(bytes, 'VARVE_NOT_A_STORE');
    });
  }

  it('is VARVE_NOT_A_STORE if it is a directory', async () => {
    fs.mkdirSync(path);
    fs.writeFileSync(join(path, 'inside'), 'bytes');
    for (const options of everyWay) {
      const error = await check.rejects('VARVE_NOT_A_STORE', () => stores.open(path, options));
      expect(error.path).toBe(path);
    }
    expect(fs.readFileSync(join(path, 'inside'), 'utf8')).toBe('bytes');
  });
});

describe('a store that this version cannot read', () => {
  const unknown: readonly (readonly [string, number, number])[] = [
    ['a later version', versionOffset, 4],
    ['the version before', versionOffset, 2],
    ['version 0', versionOffset, 0],
    ['a version far off', versionOffset, 0xffff_ffff],
    ['an unknown flag', flagsOffset, 1],
    ['the last flag', flagsOffset, 0x8000_0000],
  ];
  for (const [what, at, value] of unknown) {
    for (const copies of [[0, secondHeader], [0], [secondHeader]]) {
      const where = copies.length === 2 ? 'both headers' : `the header at ${copies[0]}`;
      it(`is VARVE_UNSUPPORTED_VERSION and stays as it is: ${what} in ${where}`, async () => {
        const bytes = await storeBytes();
        for (const copyOffset of copies) changeHeader(bytes, copyOffset, at, value);
        await expectRefused(bytes, 'VARVE_UNSUPPORTED_VERSION');
      });
    }
  }

  it('says which version it has and which one is read', async () => {
    const bytes = await storeBytes();
    for (const copyOffset of [0, secondHeader]) changeHeader(bytes, copyOffset, versionOffset, 9);
    fs.writeFileSync(path, bytes);
    const open = () => stores.open(path);
    const error = await check.rejects('VARVE_UNSUPPORTED_VERSION', open);
    expect(error).toMatchObject({ path, actual: 9 });
    expect(error.message).toContain('9');
  });
});

describe('a store that is damaged', () => {
  it('is VARVE_CORRUPT and unchanged if both headers are damaged', async () => {
    const bytes = await storeBytes();
    for (const copyOffset of [0, secondHeader]) {
      bytes[copyOffset + 40] = (bytes[copyOffset + 40] ?? 0) ^ 0xff;
    }
    await expectRefused(bytes, 'VARVE_CORRUPT');
  });

  it('is VARVE_CORRUPT and unchanged if it was truncated', async () => {
    const bytes = await storeBytes();
    await expectRefused(bytes.subarray(0, secondHeader + headerBytes), 'VARVE_CORRUPT');
  });

  it('is VARVE_CORRUPT if only the start of a header is left', async () => {
    const bytes = await storeBytes();
    await expectRefused(bytes.subarray(0, 100), 'VARVE_CORRUPT');
  });

  it('opens if one header is damaged, and lists it as healed', async () => {
    for (const copyOffset of [0, secondHeader]) {
      const bytes = await storeBytes();
      bytes[copyOffset + 40] = (bytes[copyOffset + 40] ?? 0) ^ 0xff;
      fs.writeFileSync(path, bytes);
      const store = await stores.open(path);
      expect(store.recovery.healed.length).toBeGreaterThan(0);
      expect(store.recovery.healed.join()).toContain(String(copyOffset));
      await store.close();
    }
  });

  it('throws VARVE_CORRUPT from get if a value is damaged, with the place, and reads the rest', async () => {
    const fileSystem = memoryFileSystem();
    const first = await stores.open(storePath, { fileSystem });
    const damaged = await committed(first, longBytesOf('this one will rot'));
    const sound = await committed(first, bytesOf('this one will not'));
    await first.close();
    const offset = placeOf(await contentOf(fileSystem), bytesOf('this one will rot'));
    await overwrite(fileSystem, bytesOf('T'), offset);
    const store = await stores.open(storePath, { fileSystem });
    for (const read of [() => store.get(damaged), () => store.session().get(damaged)]) {
      expect(read).toThrow(expect.objectContaining({ code: 'VARVE_CORRUPT', grainId: damaged }));
    }
    const error = await check.rejects('VARVE_CORRUPT', () => store.getAsync(damaged));
    expect(error.offset).toBeGreaterThan(offset - 64);
    expect(error.offset).toBeLessThanOrEqual(offset);
    await check.value(store, sound, bytesOf('this one will not'));
    await store.close();
  });
});

describe('a file that is missing, or must not exist', () => {
  it('is VARVE_NOT_FOUND without create, and nothing is made', async () => {
    const deep = join(folder, 'a', 'b', 'store');
    for (const options of [{ create: false }, { readOnly: true }]) {
      for (const missing of [path, deep]) {
        const error = await check.rejects('VARVE_NOT_FOUND', () => stores.open(missing, options));
        expect(error).toMatchObject({ path: missing, cause: { code: 'ENOENT' } });
      }
    }
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it('is VARVE_EXISTS with exclusive, and stays as it is', async () => {
    for (const bytes of [await storeBytes(), bytesOf('something else'), new Uint8Array(0)]) {
      fs.writeFileSync(path, bytes);
      const open = () => stores.open(path, { exclusive: true });
      const error = await check.rejects('VARVE_EXISTS', open);
      expect(error.path).toBe(path);
      expect(Buffer.compare(fs.readFileSync(path), bytes)).toBe(0);
    }
  });

  it('is VARVE_LOCKED while a writer of this process has it, and is free after close', async () => {
    const store = await stores.open(path);
    const id = await committed(store, bytesOf('mine'));
    const error = await check.rejects('VARVE_LOCKED', () => stores.open(path));
    expect(error.path).toBe(path);
    await check.value(store, id, bytesOf('mine'));
    await store.close();
    await check.value(await stores.open(path), id, bytesOf('mine'));
  });
});

describe('a disk that refuses', () => {
  it('is VARVE_IO with the cause if a file is in the way of the path', async () => {
    fs.writeFileSync(path, 'a file');
    const below = join(path, 'store');
    for (const options of everyWay) {
      const error = await check.rejects('VARVE_IO', () => stores.open(below, options));
      expect(error).toMatchObject({ path: below, cause: { code: 'ENOTDIR' } });
    }
    expect(fs.readFileSync(path, 'utf8')).toBe('a file');
  });

  it('is VARVE_IO with the cause if opening is not permitted, or fails otherwise', async () => {
    for (const code of ['EACCES', 'EPERM', 'EROFS', 'EMFILE', 'EIO']) {
      const disk = new WrappedFileSystem(nodeFileSystem);
      const fault = disk.fail('open', code);
      const error = await check.rejects('VARVE_IO', () => stores.open(path, { fileSystem: disk }));
      expect(error).toMatchObject({ path, cause: fault.error });
      expect(fs.readdirSync(folder)).toEqual([]);
    }
  });

  it('gives the errors of a custom file system the codes of the contract', async () => {
    const table = { ENOENT: 'NOT_FOUND', EEXIST: 'EXISTS', EISDIR: 'NOT_A_STORE', EBUSY: 'IO' };
    for (const [code, expected] of Object.entries(table)) {
      const disk = new WrappedFileSystem(memoryFileSystem());
      const fault = disk.fail('open', code);
      const open = () => stores.open(path, { fileSystem: disk });
      const error = await check.rejects(`VARVE_${expected}` as VarveErrorCode, open);
      expect(error.cause).toBe(fault.error);
    }
  });

  it('is VARVE_IO, unlocked, if a read, a write or a sync of opening fails', async () => {
    for (const operation of ['read', 'write', 'datasync'] as const) {
      const disk = new WrappedFileSystem(memoryFileSystem());
      const fault = disk.fail(operation, 'EIO');
      const open = () => stores.open(path, { fileSystem: disk });
      const error = await check.rejects('VARVE_IO', open);
      expect(error).toMatchObject({ path, cause: fault.error });
      fault.stop();
      const store = await open();
      await check.value(store, await committed(store, bytesOf('works')), bytesOf('works'));
    }
  });
});
