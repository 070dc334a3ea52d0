/**
 * A file as the plainest thing that it can be, one array of bytes, and random operations that are
 * done to it and to a `StorageFile` alike.
 *
 * Invariant: after every operation both have the same length, and every read gives the same bytes.
 * The ranges are chosen so that they often touch, overlap, and straddle the pages of a backend.
 */

import fc from 'fast-check';
import { expect } from 'vitest';
import type { StorageFile } from '../../src/io/file-system.ts';
import { expectSameBytes, patternOf } from './bytes.ts';

const pageBytes = 4096;
const positionMax = 5 * 64 * 1024;

export type FileCommand =
  | { kind: 'write' | 'writeSync'; position: number; lengths: readonly number[]; seed: number }
  | { kind: 'read' | 'readSync'; position: number; length: number }
  | { kind: 'truncate' | 'truncateSync'; length: number }
  | { kind: 'trim'; firstPage: number; pageCount: number }
  | { kind: 'reopen' };

const position = fc.oneof(
  fc.nat(positionMax),
  // Around the edges of 64 KiB, where a page of the memory file system ends.
  fc.tuple(fc.nat(5), fc.integer({ min: -3, max: 3 })).map(([n, d]) => Math.max(n * 65_536 + d, 0)),
);
const length = fc.oneof(fc.nat(100), fc.nat(150_000));

export const fileCommands: fc.Arbitrary<FileCommand[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('write' as const, 'writeSync' as const),
      position,
      lengths: fc.array(length, { maxLength: 4 }),
      seed: fc.nat(250),
    }),
    fc.record({ kind: fc.constantFrom('read' as const, 'readSync' as const), position, length }),
    fc.record({
      kind: fc.constantFrom('truncate' as const, 'truncateSync' as const),
      length: position,
    }),
    fc.record({ kind: fc.constant('trim' as const), firstPage: fc.nat(90), pageCount: fc.nat(90) }),
    fc.constant({ kind: 'reopen' as const }),
  ),
  { maxLength: 25 },
);

/** Does the commands to a file that `open` makes, and to the model; throws where they differ. */
export async function checkAgainstModel(
  commands: readonly FileCommand[],
  open: () => Promise<StorageFile>,
): Promise<void> {
  let file = await open();
  const model = new FileModel();
  for (const command of commands) {
    if (command.kind === 'reopen') {
      await file.close();
      file = await open();
    } else {
      await apply(command, file, model);
    }
    expect(file.length()).toBe(model.bytes.length);
  }
  const found = new Uint8Array(model.bytes.length + 1);
  expect(file.readSync(found, 0)).toBe(model.bytes.length);
  expectSameBytes(found.subarray(0, model.bytes.length), model.bytes);
  await file.close();
}

class FileModel {
  bytes: Uint8Array = new Uint8Array(0);

  resize(newLength: number): void {
    const resized = new Uint8Array(newLength);
    resized.set(this.bytes.subarray(0, newLength));
    this.bytes = resized;
  }

  write(chunk: Uint8Array, at: number): void {
    if (chunk.length === 0) return;
    if (at + chunk.length > this.bytes.length) this.resize(at + chunk.length);
    this.bytes.set(chunk, at);
  }
}

async function apply(
  command: Exclude<FileCommand, { kind: 'reopen' }>,
  file: StorageFile,
  model: FileModel,
): Promise<void> {
  switch (command.kind) {
    case 'write':
    case 'writeSync': {
      const chunks = command.lengths.map((size, index) => patternOf(size, command.seed + index));
      if (command.kind === 'write') await file.write(chunks, command.position);
      else file.writeSync(chunks, command.position);
      model.write(new Uint8Array(Buffer.concat(chunks)), command.position);
      return;
    }
    case 'read':
    case 'readSync': {
      const found = new Uint8Array(command.length);
      const count =
        command.kind === 'read'
          ? await file.read(found, command.position)
          : file.readSync(found, command.position);
      const end = command.position + command.length;
      expectSameBytes(found.subarray(0, count), model.bytes.subarray(command.position, end));
      return;
    }
    case 'truncate':
    case 'truncateSync':
      if (command.kind === 'truncate') await file.truncate(command.length);
      else file.truncateSync(command.length);
      model.resize(command.length);
      return;
    case 'trim': {
      const from = command.firstPage * pageBytes;
      const trimmedBytes = command.pageCount * pageBytes;
      if (file.trim === undefined) return;
      await file.trim(from, trimmedBytes);
      model.bytes.fill(0, from, from + trimmedBytes);
      return;
    }
  }
}
