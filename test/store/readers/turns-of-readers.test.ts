/**
 * A reader follows long records with turns for the event loop, and other reads follow the log in
 * these turns. The clock takes a step of 10 ms whenever it is read: every pause is a turn at first.
 */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { GrainId } from '../../../src/format/grain-id.ts';
import { type FileSystem, Store } from '../../../src/index.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { openCore } from '../../../src/store/open/opening.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { StoreReader } from '../../../src/store/readers/store-reader.ts';
import { Breather } from '../../../src/util/breather.ts';
import { patternOf } from '../../support/bytes.ts';
import { labPath } from '../../support/fixtures/core-lab.ts';

let time = 0;

beforeEach(() => {
  vi.spyOn(performance, 'now').mockImplementation(() => (time += 10));
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const count = 3000;
/** Turns in which a refresh must end, whatever the writer does in them. */
const turnsMax = 3000;

async function readerOf(fileSystem: FileSystem): Promise<StoreReader> {
  const request = checkOptions(labPath, { fileSystem, readOnly: true }, defaultLimits);
  return new StoreReader(request, await openCore(request));
}

async function pushed(store: Store, seed: number): Promise<GrainId[]> {
  const session = store.session();
  const ids: GrainId[] = [];
  for (let at = 0; at < count; at++) ids.push(session.push(patternOf(at % 50, seed + at)));
  await session.commit();
  return ids;
}

/** A breather to which each step takes a millisecond; calls `act` in each turn. */
class Acting extends Breather {
  steps = 0;
  turns = 0;
  readonly #act: (turn: number) => void;

  constructor(act: (turn: number) => void = () => {}) {
    let now = 0;
    super(() => now++);
    this.#act = act;
  }

  override get due(): boolean {
    this.steps += 1;
    return super.due;
  }

  override async turn(): Promise<void> {
    this.turns += 1;
    this.#act(this.turns);
    await super.turn();
  }
}

describe('a reader that follows a record of 3,000 values', () => {
  it('pauses every few values', async () => {
    const fileSystem = memoryFileSystem();
    const writer = await Store.open(labPath, { create: true, fileSystem });
    const { tail, current } = await readerOf(fileSystem);
    await pushed(writer, 0);
    const breather = new Acting();
    expect(await tail.followAsync(breather)).toBe(true);
    expect(tail.newest).toBe(1);
    // Its values are decoded, and then added to the differences.
    expect(breather.steps).toBeGreaterThan((1.9 * count) / 32);
    expect(breather.turns).toBeGreaterThanOrEqual(breather.steps / 10);
    await current.core.reader.file.close();
    await writer.close();
  });

  it('knows each change once, wherever another read follows the log at the same time', async () => {
    for (const turn of [1, 2, 3, 5, 7, 10, 12]) {
      const fileSystem = memoryFileSystem();
      const writer = await Store.open(labPath, { create: true, fileSystem });
      const { tail, current } = await readerOf(fileSystem);
      await pushed(writer, 0);
      await pushed(writer, 1);
      const others: Promise<boolean>[] = [];
      const breather = new Acting((now) => {
        others.push(tail.followAsync());
        if (now !== turn) return;
        expect(tail.follow()).toBe(true);
        expect(tail.newest, `followed in turn ${now}`).toBe(2);
        expect(tail.differences.size).toBe(2 * count);
      });
      expect(await tail.followAsync(breather)).toBe(true);
      expect(breather.turns).toBeGreaterThanOrEqual(turn);
      expect(await Promise.all(others)).not.toContain(false);
      expect(tail.differences.size).toBe(2 * count);
      expect(tail.era).toBe(0);
      await current.core.reader.file.close();
      await writer.close();
    }
  });

  it('reads the log again after each call: a batch durable before a call is included', async () => {
    const fileSystem = memoryFileSystem();
    const writer = await Store.open(labPath, { create: true, fileSystem });
    const { tail, current } = await readerOf(fileSystem);
    await pushed(writer, 0);
    const followed: Promise<void>[] = [];
    const breather = new Acting((turn) => {
      if (turn > 3) return;
      const session = writer.session();
      session.push(patternOf(20));
      const batch = session.commitSync();
      const joined = tail.followAsync().then((reached) => {
        expect(reached).toBe(true);
        expect(tail.newest).toBeGreaterThanOrEqual(batch);
      });
      followed.push(joined);
    });
    expect(await tail.followAsync(breather)).toBe(true);
    expect(followed.length).toBe(3);
    await Promise.all(followed);
    expect(tail.newest).toBe(4);
    await current.core.reader.file.close();
    await writer.close();
  });
});

it('a refresh keeps the cache right while other reads use it', async () => {
  const fileSystem = memoryFileSystem();
  const writer = await Store.open(labPath, { create: true, fileSystem });
  const first = await pushed(writer, 0);
  const second = await pushed(writer, 7000);
  const reader = await Store.open(labPath, { fileSystem, readOnly: true });
  const contents = new Map<GrainId, Uint8Array>();
  for (const id of [...first, ...second]) contents.set(id, reader.get(id) as Uint8Array);
  const session = writer.session();
  for (const id of first) session.archive(id);
  await writer.checkpointTo(await session.commit());
  let third: GrainId[] = [];
  for (let round = 0; !third.some((id) => contents.has(id)); round++) {
    expect(round, 'rounds without a grain used again').toBeLessThan(20);
    third = await pushed(writer, 20_000);
  }
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    if (isOver) return;
    turns += 1;
    for (let at = 0; at < 20; at++) {
      const id = second[(turns * 37 + at) % count] as GrainId;
      expect(reader.get(id)).toEqual(contents.get(id));
    }
    setImmediate(turn);
  };
  setImmediate(turn);
  await reader.refresh();
  isOver = true;
  // The record is decoded, added and replayed, and the cache is cleaned. By this clock a refresh
  // soon lasts so long that it passes over some pauses.
  expect(turns).toBeGreaterThan((2.8 * count) / 32);
  for (const [at, id] of third.entries()) {
    expect(reader.get(id)).toEqual(patternOf(at % 50, 20_000 + at));
  }
  for (const id of second) expect(reader.get(id)).toEqual(contents.get(id));
  await reader.close();
  await writer.close();
});

it.each([20, 1000])(
  'a refresh ends though the writer commits %i values in every turn',
  async (each) => {
    const fileSystem = memoryFileSystem();
    const writer = await Store.open(labPath, { create: true, fileSystem, settleBytes: 65_536 });
    let before: GrainId[] = [];
    const commit = (): void => {
      const session = writer.session();
      for (const id of before) session.archive(id);
      before = Array.from({ length: each }, (_, at) => session.push(patternOf(20, at)));
      session.checkpointTo(writer.currentBatch);
      session.commitSync();
    };
    commit();
    const reader = await Store.open(labPath, { fileSystem, readOnly: true });
    commit();
    // A pause of a reader is one turn here, not some milliseconds, in which any number may pass.
    vi.stubGlobal('setTimeout', (resume: () => void) => setImmediate(resume));
    const atCall = writer.currentBatch;
    let turns = 0;
    let isOver = false;
    const turn = (): void => {
      if (isOver || turns === turnsMax) return;
      turns += 1;
      commit();
      setImmediate(turn);
    };
    setImmediate(turn);
    expect(await reader.refresh()).toBeGreaterThanOrEqual(atCall);
    isOver = true;
    expect(turns).toBeLessThan(turnsMax);
    await reader.close();
    await writer.close();
  },
);
