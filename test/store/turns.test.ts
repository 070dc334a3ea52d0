/** Long loops of the store give the event loop a turn within 10 ms of work, by a clock of the test. */

import { expect, it } from 'vitest';
import { type GrainId, joinGrainId } from '../../src/format/grain-id.ts';
import { decodeLogRecord } from '../../src/format/log-record.ts';
import { Store } from '../../src/index.ts';
import type { FileSystem } from '../../src/io/file-system.ts';
import { memoryFileSystem } from '../../src/io/memory-file-system.ts';
import { freedBetween } from '../../src/store/commit/checkpoint.ts';
import { planBatch } from '../../src/store/commit/commit-plan.ts';
import { SessionWork } from '../../src/store/commit/session-work.ts';
import { pause, perform, performSync, type Steps } from '../../src/store/file/effects.ts';
import { FileReader } from '../../src/store/file/file-reader.ts';
import { defaultLimits } from '../../src/store/grains/atlas.ts';
import { chooseHeader } from '../../src/store/open/header-choice.ts';
import { loadStore } from '../../src/store/open/loading.ts';
import { recoverFile } from '../../src/store/open/recovery.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { logEntries } from '../../src/store/readers/log-entries.ts';
import { verifyStore } from '../../src/store/verify/verify.ts';
import { present } from '../../src/util/assert.ts';
import { Breather } from '../../src/util/breather.ts';
import { patternOf } from '../support/bytes.ts';
import { type CoreLab, labPath, openLab } from '../support/fixtures/core-lab.ts';

/** A breather to which each step of a loop takes a millisecond; counts turns and steps. */
class Counting extends Breather {
  steps = 0;
  turns = 0;
  stepsSince = 0;
  most = 0;

  constructor() {
    let time = 0;
    super(() => time++);
  }

  override get due(): boolean {
    this.steps += 1;
    this.stepsSince += 1;
    this.most = Math.max(this.most, this.stepsSince);
    return super.due;
  }

  override async turn(): Promise<void> {
    this.turns += 1;
    this.stepsSince = 0;
    await super.turn();
  }
}

async function labWith(commits: number, values: number): Promise<CoreLab> {
  const lab = await openLab();
  for (let commit = 0; commit < commits; commit++) {
    const session = lab.session();
    for (let at = 0; at < values; at++) session.push(patternOf(at % 50));
    session.commitSync();
  }
  return lab;
}

it.each([false, true])('a verification, deep: %s, lets others have their turns', async (deep) => {
  const lab = await labWith(120, 20);
  const breather = new Counting();
  const request = { deep, signal: undefined, quiet: () => true, breather };
  for await (const finding of verifyStore(lab.core, request)) expect(finding).toBe(undefined);
  expect(breather.steps).toBeGreaterThan(deep ? 2000 : 100);
  expect(breather.most).toBeLessThanOrEqual(10);
  await lab.close();
});

it('a verification beside commits never mixes two states', async () => {
  const lab = await labWith(40, 20);
  const breather = new Counting();
  let writes = 0;
  const quiet = (): boolean => {
    if (writes++ % 3 === 0) {
      const session = lab.session();
      session.push(patternOf(writes % 90));
      queueMicrotask(() => session.commitSync());
    }
    return false;
  };
  const request = { deep: true, signal: undefined, quiet, breather };
  for await (const finding of verifyStore(lab.core, request)) expect(finding).toBe(undefined);
  expect(writes).toBeGreaterThan(0);
  await lab.close();
});

it('an iteration of the commit log lets others have their turns', async () => {
  const lab = await labWith(100, 1);
  const breather = new Counting();
  const range = { after: 0, until: 100, signal: undefined };
  let entries = 0;
  for await (const _ of logEntries(lab.core, range, breather)) entries += 1;
  expect(entries).toBe(100);
  expect(breather.turns).toBeGreaterThanOrEqual(10);
  expect(breather.most).toBeLessThanOrEqual(10);
  await lab.close();
});

/** Runs the steps to their end, and counts their pauses. */
function pausesOf<T>(steps: Steps<T>): { pauses: number; result: T } {
  let pauses = 0;
  let step = steps.next();
  while (step.done !== true) {
    if (step.value.kind === 'pause') pauses += 1;
    step = steps.next();
  }
  return { pauses, result: step.value };
}

it('the planning of a long commit, and of a long checkpoint, pauses every few values', async () => {
  const lab = await labWith(1, 3000);
  const { core } = lab;
  const values = [...core.atlas.strata()].flatMap((stratum) =>
    [...stratum.maps].flatMap((map) => {
      const found: GrainId[] = [];
      for (let at = 0; at < map.grains; at++) {
        const index = map.firstIndex + at;
        const value = core.atlas.find({ basin: 0, stratum: stratum.number, index });
        if (value !== undefined) found.push(joinGrainId(0, stratum.number, index));
      }
      return found;
    }),
  );
  expect(values.length).toBe(3000);
  const session = lab.session();
  for (const id of values) session.archive(id);
  const archived = await session.commit();
  const freeing = pausesOf(freedBetween(core, 0, archived));
  expect(freeing.result.values.length).toBe(3000);
  expect(freeing.pauses).toBeGreaterThan(3000 / 64);
  const work = new SessionWork(core.staging);
  for (let at = 0; at < 3000; at++) {
    work.stage(core.atlas.reserve(20, work.preferred), patternOf(20));
  }
  const planning = pausesOf(
    planBatch(core.atlas, {
      before: core.published,
      retainedLogBytes: core.log.retainedBytes,
      works: [work],
      freed: new Map([[work, freeing.result]]),
      checkpoint: archived,
      dropped: [],
      now: 0,
    }),
  );
  expect(planning.result.entries).toBe(6000);
  expect(planning.pauses).toBeGreaterThan(6000 / 64);
  work.giveUp();
  await lab.close();
});

it('the planning of a short record sorts its archives and frees in small steps', async () => {
  const lab = await labWith(1, 3000);
  const { core } = lab;
  const home = present(core.atlas.stratum(0, 0), 'the first stratum');
  const indexes: number[] = [];
  for (let index = 0; index < 100_000; index++) {
    if (core.atlas.find({ basin: 0, stratum: 0, index }) !== undefined) indexes.push(index);
  }
  expect(indexes.length).toBeGreaterThan(500);
  const shuffled = indexes.map((_, at) => indexes[(at * 7919) % indexes.length] as number);
  const work = new SessionWork(core.staging);
  for (const index of shuffled) work.claim(home, index, 1, 20);
  work.stage(core.atlas.reserve(20, work.preferred), patternOf(20));
  const freed = shuffled.map((index) => ({ basin: 1, stratum: 2, index, count: 1, length: 20 }));
  const planning = pausesOf(
    planBatch(core.atlas, {
      before: core.published,
      retainedLogBytes: core.log.retainedBytes,
      works: [work],
      freed: new Map([[work, { values: freed, logBytes: 0 }]]),
      checkpoint: 0,
      dropped: [],
      now: 0,
      isShort: true,
    }),
  );
  const { operations } = decodeLogRecord(planning.result.body, undefined);
  const of = (operation: string): number[] =>
    operations.flatMap((one) => (one.operation === operation && 'index' in one ? [one.index] : []));
  expect(of('allocate').length).toBe(1);
  expect(of('archive')).toEqual(indexes);
  expect(of('free')).toEqual(indexes);
  // Divided, sorted in short runs, merged, and then encoded.
  expect(planning.pauses).toBeGreaterThan((2 * indexes.length * 5) / 32);
  work.giveUp();
  await lab.close();
});

it('steps that pause give others their turns, but none in a synchronous call', async () => {
  const lab = await openLab();
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  function* work(steps: number): Steps<number> {
    for (let at = 0; at < steps && turns === 0; at++) yield pause;
    return turns;
  }
  setImmediate(count);
  expect(performSync(lab.file, work(10_000))).toBe(0);
  expect(await perform(lab.file, work(1e9))).toBe(1);
  isOver = true;
  await lab.close();
});

it('other calls in the pauses of a commit leave it whole', async () => {
  const lab = await labWith(1, 10);
  const { core } = lab;
  const other = lab.session();
  const session = lab.session();
  const ids: GrainId[] = [];
  for (let at = 0; at < 20_000; at++) {
    ids.push(session.push(patternOf(at % 40)));
    if (at % 100 === 0) other.push(patternOf(300));
  }
  let isOver = false;
  let pushes = 0;
  const push = (): void => {
    if (isOver) return;
    const third = lab.session();
    for (let at = 0; at < 50; at++) third.push(patternOf(500 + at));
    pushes += 1;
    third.abandon();
    if (pushes === 1) other.abandon();
    setImmediate(push);
  };
  setImmediate(push);
  await session.commit();
  isOver = true;
  if (pushes === 0) other.abandon();
  expect(ids.every((id) => core.place(id) !== undefined)).toBe(true);
  expect(await lab.findings()).toEqual([]);
  await lab.kill();
});

/** A store of 3,000 values whose process ended before it settled, nor was the last batch confirmed. */
async function killed(): Promise<FileSystem> {
  const fileSystem = memoryFileSystem();
  const lab = await openLab({ fileSystem, settleBytes: 1e9 });
  const session = lab.session();
  for (let at = 0; at < 3000; at++) session.push(patternOf(at % 50));
  session.commitSync();
  await lab.kill();
  return fileSystem;
}

it('an opening that replays a long log, and writes its last batch again, pauses every few values', async () => {
  const fileSystem = await killed();
  const request = checkOptions(labPath, { fileSystem }, defaultLimits);
  const file = await fileSystem.open(labPath, { create: false, exclusive: false, readOnly: false });
  const reader = new FileReader(file, labPath);
  const choice = present(chooseHeader(reader), 'a file header');
  const loading = pausesOf(loadStore(request, reader, choice));
  // The values of the last batch are looked at, then replayed.
  expect(loading.pauses).toBeGreaterThanOrEqual((2 * 3000) / 32);
  expect(loading.result.opened.published.currentBatch).toBe(1);
  expect(pausesOf(recoverFile(loading.result)).pauses).toBeGreaterThanOrEqual(3000 / 32);
  await file.close();
});

it('closing a store during a refresh makes the refresh reject', async () => {
  const fileSystem = await killed();
  const reader = await Store.open(labPath, { fileSystem, readOnly: true });
  const writer = await openLab({ fileSystem, settleBytes: 1e9 });
  const session = writer.session();
  for (let at = 0; at < 20_000; at++) session.push(patternOf(at % 50));
  session.commitSync();
  const refreshed = expect(reader.refresh()).rejects.toMatchObject({ code: 'VARVE_CLOSED' });
  const next = expect(reader.refresh()).rejects.toMatchObject({ code: 'VARVE_CLOSED' });
  for (let hop = 0; hop < 3; hop++) await undefined;
  await reader.close();
  await refreshed;
  await next;
  await writer.close();
});

/** A breather that is due once, at the step that it is given, and does `act` in that turn. */
class Once extends Breather {
  #left: number;
  readonly #act: () => Promise<void>;

  constructor(step: number, act: () => Promise<void>) {
    super(() => 0);
    this.#left = step;
    this.#act = act;
  }

  override get due(): boolean {
    this.#left -= 1;
    return this.#left === 0;
  }

  override async turn(): Promise<void> {
    await this.#act();
  }
}

it('a verification ends with VARVE_CLOSED, at whatever step the store is closed', async () => {
  let outcome: unknown;
  let step = 0;
  for (; outcome !== 'whole'; step++) {
    const lab = await labWith(2, 100);
    const breather = new Once(step + 1, async () => {
      lab.core.closed = true;
      await lab.kill();
    });
    const request = { deep: true, signal: undefined, quiet: () => true, breather };
    try {
      for await (const finding of verifyStore(lab.core, request)) expect(finding).toBe(undefined);
      outcome = 'whole';
    } catch (error) {
      expect(error, `closed at step ${step}`).toMatchObject({ code: 'VARVE_CLOSED' });
    }
    await lab.kill();
  }
  expect(step).toBeGreaterThan(200);
});

it('a verification ends with VARVE_CLOSED, at whatever microtask the store is closed', async () => {
  let refused = 0;
  for (let hops = 0; hops < 60; hops++) {
    const lab = await labWith(2, 3);
    const request = { deep: true, signal: undefined, quiet: () => true };
    const verified = (async () => {
      for await (const finding of verifyStore(lab.core, request)) expect(finding).toBe(undefined);
    })();
    const outcome = verified.then(
      () => 'whole',
      (error: unknown) => error,
    );
    for (let hop = 0; hop < hops; hop++) await undefined;
    lab.core.closed = true;
    await lab.kill();
    const found = await outcome;
    if (found === 'whole') continue;
    expect(found, `closed after ${hops} microtasks`).toMatchObject({ code: 'VARVE_CLOSED' });
    refused += 1;
  }
  expect(refused).toBeGreaterThan(5);
});

it('a verification finds nothing, at whichever step a session pushes', async () => {
  let isWhole = false;
  for (let step = 1; !isWhole; step++) {
    const lab = await labWith(1, 10);
    isWhole = true;
    const breather = new Once(step, async () => {
      isWhole = false;
      lab.session().push(patternOf(100_000));
    });
    const request = { deep: true, signal: undefined, quiet: () => false, breather };
    for await (const { message } of verifyStore(lab.core, request)) {
      expect(message, `pushed at step ${step}`).toBe(undefined);
    }
    await lab.kill();
  }
});

it('a verification finds nothing, at whichever step an empty map is dropped', async () => {
  let isWhole = false;
  let gone = 0;
  for (let step = 1; !isWhole; step++) {
    const lab = await labWith(1, 10);
    const { core } = lab;
    const maps = (): number => {
      let count = 0;
      for (const stratum of core.atlas.strata()) count += stratum.maps.length;
      return count;
    };
    const session = lab.session();
    for (const length of [1000, 20_000, 100_000]) session.push(patternOf(length));
    isWhole = true;
    const breather = new Once(step, async () => {
      isWhole = false;
      session.abandon();
      const { backedPage } = core.space;
      core.space.refused(backedPage, backedPage + 1, true);
      const before = maps();
      lab.session().push(patternOf(300_000));
      if (maps() < before) gone += 1;
    });
    const request = { deep: false, signal: undefined, quiet: () => false, breather };
    for await (const { message } of verifyStore(core, request)) {
      expect(message, `gone at step ${step}`).toBe(undefined);
    }
    await lab.kill();
  }
  expect(gone).toBeGreaterThan(0);
});
