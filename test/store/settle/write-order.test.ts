/**
 * What is written over what, at every write of every history of the crash tests: nothing that is
 * current is ever overwritten, the two copies of the file header are written one at a time, the
 * older first unless both say the same, and a copy never names what is not durable yet.
 *
 * A power cut shows a breach of these only where a sector of it survives and another does not, or
 * where a copy of the header rots besides; here it shows at the write itself.
 */

import { isDeepStrictEqual } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeFileHeader, type FileHeader } from '../../../src/format/file-header.ts';
import { headerCopies, pageBytes, sectorBytes } from '../../../src/format/layout.ts';
import type { DiskImage } from '../../support/disks/disk-image.ts';
import type { DiskState } from '../../support/disks/disk-state.ts';
import { headersOf, type NamedRange, namedBy } from '../../support/disks/named-ranges.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { type History, histories, randomHistory } from '../../support/lives/histories.ts';
import { Life } from '../../support/lives/life.ts';
import { runWithFaults } from '../../support/lives/trial.ts';
import { documentsThatMove, placesThatChange, settleOverCommits } from './settle-histories.ts';

let writes = 0;

/** A write that has returned. */
interface Written {
  readonly position: number;
  readonly bytes: Uint8Array;
}

function isHeader({ position }: Written): boolean {
  return position < headerCopies * pageBytes;
}

/** Whether those bytes are on the disk already: opening writes some of them again. */
function isThere(durable: DiskImage, { position, bytes }: Written): boolean {
  const there = new Uint8Array(bytes.length);
  durable.read(there, position);
  return Buffer.compare(there, bytes) === 0;
}

/** Everything that a durable copy of the header names, by the sector. */
function namedSectors(durable: DiskImage): Map<number, NamedRange> {
  const sectors = new Map<number, NamedRange>();
  for (const header of headersOf(durable)) {
    if (header === undefined) continue;
    for (const range of namedBy(durable, header)) {
      const last = Math.ceil(range.to / sectorBytes);
      for (let sector = range.from / sectorBytes; sector < last; sector++) {
        sectors.set(sector, range);
      }
    }
  }
  return sectors;
}

/** Throws where the write goes over something that is named and is not what is there. */
function checkStructure(
  durable: DiskImage,
  { position, bytes }: Written,
  named: ReadonlyMap<number, NamedRange>,
): void {
  for (let at = 0; at < bytes.length; at += sectorBytes) {
    const range = named.get((position + at) / sectorBytes);
    if (range === undefined) continue;
    const sector = { position: position + at, bytes: bytes.subarray(at, at + sectorBytes) };
    if (!isThere(durable, sector)) throw new Error(`${range.what} is overwritten at ${position}`);
  }
}

/** Whether either copy leads to what the other one does: one may confirm more of it. */
function sayTheSame([first, second]: readonly (FileHeader | undefined)[]): boolean {
  return isDeepStrictEqual(
    { ...first, generation: 0, confirmed: 0 },
    { ...second, generation: 0, confirmed: 0 },
  );
}

/** Throws where the copy that is written is not the older, or names what is not there. */
function checkHeader(durable: DiskImage, { position, bytes }: Written): void {
  const copy = position / pageBytes;
  const found = decodeFileHeader(bytes.subarray(0, sectorBytes), 0);
  if (found.state !== 'valid') throw new Error(`copy ${copy} of the header is ${found.state}`);
  const headers = headersOf(durable);
  const generations = headers.map((header) => header?.generation ?? 0);
  const other = generations[1 - copy] as number;
  if (other < (generations[copy] as number) && !sayTheSame(headers)) {
    throw new Error(`the newer copy ${copy} is written`);
  }
  if (found.header.generation <= Math.max(...generations))
    throw new Error('a generation does not rise');
  for (const { page, pages } of found.header.segments) {
    const end = (page + pages) * pageBytes;
    if (end > durable.length) throw new Error(`the log to byte ${end} is not in the file`);
  }
  for (const _ of namedBy(durable, found.header));
}

class Watch {
  #durable: DiskImage | undefined;
  #named: ReadonlyMap<number, NamedRange> = new Map();
  #copies = new Set<number>();

  /** Looks at the write that made of a disk in the state `before` one in the state `after`. */
  write({ durable, unsynced }: DiskState, after: DiskState): void {
    if (durable !== this.#durable) {
      this.#named = namedSectors(durable);
      this.#copies = new Set();
      this.#durable = durable;
    }
    for (const change of after.unsynced.slice(unsynced.length)) {
      if ('length' in change || isThere(durable, change)) continue;
      writes += 1;
      if (!isHeader(change)) {
        checkStructure(durable, change, this.#named);
        continue;
      }
      // The zeros that a new store begins with.
      if (change.bytes.every((byte) => byte === 0)) continue;
      checkHeader(durable, change);
      this.#copies.add(change.position);
      if (this.#copies.size > 1) throw new Error('both copies of the header are in one sync');
    }
  }
}

/** Looks at every write that a disk has recorded. */
function watchDisk({ before, operations, state }: SimulatedDisk, what: string): void {
  const states = [...before, state];
  const watched = new Watch();
  for (const { number, kind } of operations) {
    if (kind !== 'write') continue;
    try {
      watched.write(states[number] as DiskState, states[number + 1] as DiskState);
    } catch (error) {
      throw new Error(`operation ${number} of '${what}': ${error}`, { cause: error });
    }
  }
}

async function watch(history: History): Promise<SimulatedDisk> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  watchDisk(life.disk, history.name);
  return life.disk;
}

/** Fates of what a failed sync was to cover. */
const fates = 3;

/** Every sync fails, as on a kernel that keeps the pages; then the store is opened again. */
async function watchOpenings(history: History): Promise<number> {
  const { operations } = await watch(history);
  const syncs = operations.filter(({ kind }) => kind === 'datasync');
  let openings = 0;
  const failing = Array.from({ length: fates }, () => syncs).flat();
  for (const [seed, { number }] of failing.entries()) {
    const disk = new SimulatedDisk({
      seed,
      faultOf: (at) => (at.number === number ? { kind: 'sync', cache: 'kept' } : undefined),
    });
    const life = new Life(disk, history.settings);
    if (!(await runWithFaults(life, history))) continue;
    await life.abandonStore();
    const next = new SimulatedDisk({ state: disk.state });
    const opened = new Life(next, history.settings);
    await opened.open();
    await opened.close();
    watchDisk(next, `the opening after operation ${number} of ${history.name}`);
    openings += 1;
  }
  return openings;
}

describe('nothing that a copy of the file header relies on is overwritten, in', () => {
  const all = [...histories, settleOverCommits, documentsThatMove, placesThatChange];

  it.each(all.map((history) => [history.name, history] as const))('%s', async (_, history) => {
    const before = writes;
    await watch(history);
    expect(writes).toBeGreaterThan(before);
  });

  it.each([401, 402, 403])('the history of seed %i', async (seed) => {
    await watch(randomHistory(seed, 60));
  });

  const few = ['group commit', 'embedded header', 'file growth', 'close and reopen'];

  it.each(few)('the openings after a failed sync of %s', async (name) => {
    const history = histories.find((one) => one.name === name) as History;
    expect(await watchOpenings(history)).toBeGreaterThan(0);
  });

  afterAll(() => {
    console.log(`writes looked at: ${writes}`);
  });
});
