/**
 * A store doing everything that a store does, over a simulated disk on which one call fails: each
 * call of the store that throws is held against the contract, then made again, and has to succeed.
 *
 * Invariant: whatever call fails, a workload that comes to its end has committed the same things.
 * One that a failed sync cuts short throws `LifeOver`. What the store must hold afterwards is for
 * `disk-aftermath.ts`.
 */

import { isVarveError, type VarveError } from '../../../src/errors.ts';
import { GrainId } from '../../../src/index.ts';
import { patternOf } from '../bytes.ts';
import type { DiskState } from '../disks/disk-state.ts';
import { SimulatedDisk } from '../disks/simulated-disk.ts';
import { headedLimits } from '../fixtures/core-lab.ts';
import type { Work } from '../oracles/expected-content.ts';
import type { Draft } from './draft.ts';
import { Life } from './life.ts';
import type { LifeSettings } from './life-settings.ts';

const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

const longBytes = 16 * kibibyte;
const longPatterns = new Map<number, Uint8Array>();

/** A call of the store that has said that the disk refused. */
export interface Refusal {
  readonly call: string;
  readonly error: VarveError;
  /** The disk in that moment, and the batch acknowledged last. */
  readonly state: DiskState;
  readonly batch: number;
}

/** A life in which each call may fail once, and says so as the contract has it. */
export class FaultyLife extends Life {
  readonly refusals: Refusal[] = [];
  override tolerant = true;
  /** Its store is being closed, or has been. */
  closing = false;

  /** Notes what a call has thrown. Throws what no disk that refuses can be the reason of. */
  hear(call: string, error: unknown): void {
    if (!isVarveError(error)) throw new Error(`${call}: no VarveError: ${error}`, { cause: error });
    if (error.code !== 'VARVE_IO' && error.code !== 'VARVE_POISONED') {
      throw new Error(`${call}: ${error.code} ${error.message}`, { cause: error });
    }
    const { state } = this.disk;
    this.refusals.push({ call, error, state, batch: this.expected.current.batch });
  }

  /** A call that can be made again where the disk refuses it. */
  tried<T>(name: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      this.hear(name, error);
      return call();
    }
  }

  async triedAsync<T>(name: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      this.hear(name, error);
      return await call();
    }
  }

  override async open(): Promise<void> {
    // Not tolerant, or it would try again without a word of the error.
    this.tolerant = false;
    await this.triedAsync('open', () => super.open());
    this.tolerant = true;
    this.closing = false;
  }

  override async close(): Promise<void> {
    this.closing = true;
    await super.close();
  }

  override async settled(work: Work, commit: (work: Work) => Promise<number>) {
    try {
      return await commit(work).then((batch) => this.accept(batch, work));
    } catch (error) {
      this.refused(work, error);
      return undefined;
    }
  }

  /** The push is made again, and says what is wrong. */
  override pushRefused(error: unknown): void {
    throw error;
  }

  override refused(work: Work, error: unknown): void {
    this.hear(this.closing ? 'close' : 'commit', error);
    super.refused(work, error);
  }

  /** Commits in a session of its own; with another one, where the disk refuses it. */
  override async commit(change: (draft: Draft) => void): Promise<number | undefined> {
    const draft = this.changed(change);
    const batch = await draft.commit();
    return batch ?? (await this.changed(change).commit());
  }

  changed(change: (draft: Draft) => void): Draft {
    const draft = this.draft();
    change(draft);
    return draft;
  }

  /** Large ones are made once: many lives ask for the same. */
  override bytes(length: number): Uint8Array {
    if (length < longBytes) return super.bytes(length);
    const known = longPatterns.get(length) ?? patternOf(length, length);
    longPatterns.set(length, known);
    return known;
  }

  push1(draft: Draft, length: number): GrainId {
    return this.tried('push', () => draft.push(length));
  }

  override async push(...lengths: number[]): Promise<number | undefined> {
    return await this.commit((draft) => {
      for (const length of lengths) this.push1(draft, length);
    });
  }

  archive(draft: Draft, ids: readonly GrainId[]): void {
    for (const id of ids) this.tried('archive', () => draft.archive(id));
  }

  override async put(length: number): Promise<void> {
    const { batch } = this.expected.current;
    await super.put(length);
    if (this.expected.current.batch === batch) await super.put(length);
  }

  async commitSync(change: (draft: Draft) => void): Promise<void> {
    const { batch } = this.expected.current;
    for (let tries = 0; this.expected.current.batch === batch && tries < 2; tries++) {
      await this.changed(change).commitSync();
    }
  }

  /** Sessions that share syncs; those that the disk refuses commit once more, together. */
  async together(changes: readonly ((draft: Draft) => void)[]): Promise<void> {
    const drafts = changes.map((change) => this.changed(change));
    const batches = await Promise.all(
      drafts.map(async (draft, at) => {
        // The first is being written when the others queue.
        if (at > 0) for (let hop = 0; hop < 6; hop++) await undefined;
        return await draft.commit();
      }),
    );
    const again = changes.filter((_, at) => batches[at] === undefined);
    await Promise.all(again.map((change) => this.changed(change).commit()));
  }

  // ── reads ──

  /** Reads everything in every way that there is. */
  async readAll(): Promise<void> {
    for (const [id, { bytes }] of this.expected.current.values) {
      const { store } = this;
      same(
        id,
        'get',
        this.tried('get', () => store.get(id)),
        bytes,
      );
      const found = await this.triedAsync('getAsync', () => store.getAsync(id));
      same(id, 'getAsync', found, bytes);
      const length = this.tried('lengthOf', () => store.lengthOf(id));
      const has = this.tried('has', () => store.has(id));
      if (length !== bytes.length || !has) {
        throw new Error(`${GrainId.format(id)}: ${has}, ${length} bytes, not ${bytes.length}`);
      }
    }
    const batches = await this.triedAsync('commitLog', () => this.#batchesOfLog());
    const { batch, checkpoint } = this.expected.current;
    if (batches !== batch - checkpoint) throw new Error(`the log has ${batches} batches`);
    await this.triedAsync('verify', () => this.#verify());
  }

  async #batchesOfLog(): Promise<number> {
    let batches = 0;
    for await (const { batch } of this.store.commitLog()) batches += batch > 0 ? 1 : 0;
    return batches;
  }

  async #verify(): Promise<void> {
    for await (const { message } of this.store.verify({ deep: true })) throw new Error(message);
  }
}

function same(id: GrainId, call: string, found: Uint8Array | undefined, bytes: Uint8Array): void {
  if (found !== undefined && Buffer.compare(found, bytes) === 0) return;
  throw new Error(`${call} of ${GrainId.format(id)}, ${bytes.length} bytes: ${found?.length}`);
}

export interface Workload {
  readonly name: string;
  readonly settings: LifeSettings;
  /** What comes before, once, with no faults: it ends with a close. */
  readonly prepare?: (life: FaultyLife) => Promise<unknown>;
  readonly steps: readonly ((life: FaultyLife) => Promise<unknown>)[];
}

function lengths(count: number, length: number): number[] {
  return Array.from({ length: count }, (_, at) => length + (at % 5) * 9);
}

/** Archives what `chosen` picks of the values, the oldest first. */
async function archived(life: FaultyLife, chosen: (at: number) => boolean): Promise<void> {
  await life.commit((draft) => {
    const ids = life.live.filter((_, at) => chosen(at));
    life.archive(draft, ids);
  });
}

/** What four sessions do that commit together. */
function ofGroup(life: FaultyLife): ((draft: Draft) => void)[] {
  return [900, 31, 32, 33].map((length) => (draft) => {
    life.push1(draft, length);
    if (length === 32) life.archive(draft, life.live.slice(0, 1));
  });
}

const commits: Workload = {
  name: 'commits of every kind, in narrow structures',
  settings: {
    settleBytes: 2 * kibibyte,
    limits: { grainsPerStratum: 256, mapsPerStratum: 2, strataPerBasin: 3 },
  },
  steps: [
    (life) => life.open(),
    (life) => life.push(0, 40, 700, 5000),
    (life) => life.put(100),
    (life) => life.commitSync((draft) => draft.setHeader(life.push1(draft, 33))),
    (life) => life.together(ofGroup(life)),
    (life) => life.checkpoint(),
    (life) => life.reopen(),
    (life) => life.readAll(),
    (life) => life.push(...lengths(12, 40)),
    (life) => life.commitSync((draft) => life.archive(draft, life.live.slice(2, 8))),
    (life) => life.commit((draft) => draft.setHeader(null)),
    (life) => life.checkpoint(),
    (life) => life.push(41, 42),
    (life) => life.close(),
  ],
};

const evicted: Workload = {
  ...commits,
  name: 'commits of every kind, with the mark pages in memory that cannot go',
  settings: { ...commits.settings, limits: { ...commits.settings.limits, markBytes: 0 } },
};

/** A store whose log has so many records, nearly all of them checkpointed away. */
async function logOf(life: FaultyLife, batches: number): Promise<void> {
  await life.open();
  await life.push(700);
  for (let batch = 0; batch < batches; batch++) await life.push(10 + (batch % 7));
  await archived(life, (at) => at % 8 > 0);
  await life.checkpoint();
  await life.close();
}

/** A lane of the first segment has 64 sectors; the next segment is made when half are used. */
const nextSegment: Workload = {
  name: 'the next segment of the commit log is made',
  settings: { settleBytes: 4 * kibibyte },
  prepare: (life) => logOf(life, 56),
  steps: [
    (life) => life.open(),
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((at) => (life: FaultyLife) => life.push(30 + at)),
    (life) => archived(life, (at) => at % 2 === 0),
    (life) => life.close(),
  ],
};

const rollOver: Workload = {
  name: 'the commit log goes on in the next segment',
  settings: { settleBytes: 4 * kibibyte },
  prepare: (life) => logOf(life, 120),
  steps: [
    (life) => life.open(),
    ...[0, 1, 2, 3, 4, 5, 6].map((at) => (life: FaultyLife) => life.push(30 + at)),
    // A record too large for the log: its body is elsewhere.
    (life) => life.push(...lengths(600, 12)),
    (life) => archived(life, (at) => at % 32 > 0),
    (life) => life.checkpoint(),
    (life) => life.readAll(),
    (life) => life.reopen(),
    (life) => life.push(30, 40),
    (life) => life.checkpoint(),
    (life) => life.close(),
  ],
};

const large: Workload = {
  name: 'large values, a file that grows and shrinks',
  settings: { settleBytes: 2 * kibibyte },
  steps: [
    (life) => life.open(),
    (life) => life.push(100),
    (life) => Promise.all([life.put(mebibyte + 333), life.push(mebibyte + 7000)]),
    (life) => life.readAll(),
    (life) => archived(life, (at) => at > 0),
    (life) => life.checkpoint(),
    (life) => life.reopen(),
    (life) => life.push(20),
    (life) => life.reopen(),
    (life) => life.push(21),
    (life) => life.close(),
  ],
};

const apart: Workload = {
  name: 'values in several places, a map with a head',
  settings: { settleBytes: 2 * kibibyte },
  // The map with a head, by limits with which large values would have no maps to themselves.
  prepare: async (life) => {
    const { settings, disk, expected } = life;
    const before = new Life(disk, { ...settings, limits: headedLimits }, expected);
    await before.open();
    await before.push(50);
    await before.close();
  },
  steps: [
    (life) => life.open(),
    // Six maps of one value each; every second is given back, so what is free lies apart.
    ...[0, 1, 2, 3, 4, 5].map((at) => (life: FaultyLife) => life.push(90_000 + at)),
    (life) => archived(life, (at) => at % 2 === 1),
    (life) => life.checkpoint(),
    ...[0, 1, 2, 3].map((at) => (life: FaultyLife) => life.push(40 + at)),
    (life) => life.push(170_000),
    (life) => life.reopen(),
    (life) => life.readAll(),
    (life) => archived(life, (at) => at % 2 === 1),
    (life) => life.checkpoint(),
    (life) => life.push(60),
    (life) => life.close(),
  ],
};

export const workloads: readonly Workload[] = [
  commits,
  evicted,
  nextSegment,
  rollOver,
  large,
  apart,
];

const prepared = new Map<Workload, Promise<FaultyLife>>();

/** A life that begins where the workload's preparation has ended. */
export async function lifeOf(workload: Workload, seed = 1): Promise<FaultyLife> {
  const { prepare, settings } = workload;
  const disk = { seed, records: false };
  if (prepare === undefined) return new FaultyLife(new SimulatedDisk(disk), settings);
  let known = prepared.get(workload);
  if (known === undefined) {
    const life = new FaultyLife(new SimulatedDisk(disk), settings);
    known = prepare(life).then(() => life);
    prepared.set(workload, known);
  }
  const before = await known;
  const { state } = before.disk;
  const expected = before.expected.upTo(before.expected.current.batch);
  return new FaultyLife(new SimulatedDisk({ ...disk, state }), settings, expected);
}
