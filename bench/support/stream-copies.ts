/**
 * Copies of one file, each by a process of its own: to another file, into a store as one value, out
 * of it again.
 *
 * Invariant: what was copied before is on the disk when the next copy begins, and the file that is
 * read is in the system's memory. Each copy is durable when its clock stops. The bytes that come out
 * are held against those that went in.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { randomValue } from './payload.ts';
import { childAnswer } from './store-process.ts';

/**
 * `new`: each chunk in new memory. `kernel`: by the system, without a look at the bytes. `own`: out
 * of the store, into memory of the consumer's own.
 */
export type Way = 'plain' | 'new' | 'kernel' | 'in' | 'out' | 'own';

export const ways: readonly Way[] = ['plain', 'in', 'own', 'new', 'out', 'kernel'];

export interface CopyTask {
  readonly way: Way;
  readonly store: string;
  readonly source: string;
  readonly target: string;
}

export interface CopyAnswer {
  readonly milliseconds: number;
  /** The most that was ever resident. */
  readonly peakBytes: number;
}

export type Copies = ReadonlyMap<Way, readonly CopyAnswer[]>;

const blockBytes = 1024 * 1024;

/** A file of random bytes. */
function writeSource(path: string, length: number): void {
  const block = Buffer.from(randomValue(blockBytes));
  const file = openSync(path, 'w');
  for (let at = 0; at < length; at += blockBytes) {
    block.writeDoubleLE(at, 0);
    writeSync(file, block, 0, Math.min(blockBytes, length - at));
  }
  closeSync(file);
}

/** The system has all of the file in its memory. */
function warm(path: string): void {
  const file = openSync(path, 'r');
  const block = Buffer.alloc(blockBytes);
  while (readSync(file, block) > 0);
  closeSync(file);
}

function checkSame(one: string, other: string): void {
  const files = [openSync(one, 'r'), openSync(other, 'r')];
  const blocks = files.map(() => Buffer.alloc(blockBytes));
  for (let isOver = false; !isOver; ) {
    const [a = blocks[0], b] = files.map((file, at) => {
      const block = blocks[at] as Buffer;
      return block.subarray(0, readSync(file, block));
    });
    if (a === undefined || b === undefined || !a.equals(b)) throw new Error(`${other} is another`);
    isOver = a.length === 0;
  }
  for (const file of files) closeSync(file);
}

/** Each way to copy a file of so many bytes, `rounds` times in turn. */
export async function copiesOf(folder: string, bytes: number, rounds: number): Promise<Copies> {
  const source = join(folder, 'source');
  const target = join(folder, 'target');
  writeSource(source, bytes);
  const copies = new Map<Way, CopyAnswer[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < rounds; round++) {
    const store = join(folder, 'bench.varve');
    for (const [way, answers] of copies) {
      // What is dirty from before would be written in the time of this one.
      if (process.platform !== 'win32') execFileSync('sync');
      warm(way === 'out' || way === 'own' ? store : source);
      const isFile = way === 'plain' || way === 'new' || way === 'kernel';
      const opened = isFile ? join(folder, 'empty.varve') : store;
      answers.push(
        await childAnswer<CopyAnswer>('stream-child', { way, store: opened, source, target }),
      );
      if (way !== 'in') checkSame(source, target);
    }
    rmSync(store);
  }
  return copies;
}
