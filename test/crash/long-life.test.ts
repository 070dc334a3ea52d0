/**
 * Long lives: one disk, made-up sessions, and at random moments a power cut, a kill that keeps the
 * page cache, a failed sync in either way, or a failed write, also while the store is being opened
 * or closed; then the store is opened again and goes on, with whatever the last fault left behind.
 *
 * Each life is one seed. After every opening the store holds what was acknowledged, and the batch
 * in flight wholly or not at all.
 */

import { afterAll, describe, it, vi } from 'vitest';
import { isVarveError } from '../../src/errors.ts';
import { crashScale, ticking } from '../support/crash-scale.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import { type Fault, hasEnded, SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { randomRound } from '../support/lives/histories.ts';
import { type Draft, Life, LifeOver } from '../support/lives/life.ts';
import type { LifeSettings } from '../support/lives/life-settings.ts';
import { compareStore } from '../support/oracles/compare-store.ts';
import { ExpectedContent, type Work } from '../support/oracles/expected-content.ts';
import { Random } from '../support/random.ts';

const counts = { lives: 0, faults: 0, batches: 0 };

const faults: readonly Fault[] = [
  { kind: 'end' },
  { kind: 'end' },
  { kind: 'sync', cache: 'dropped' },
  { kind: 'sync', cache: 'kept' },
  { kind: 'error', code: 'EIO' },
  { kind: 'error', code: 'ENOSPC' },
];

function settingsOf(random: Random): LifeSettings {
  const limits = {
    grainsPerStratum: 256,
    mapsPerStratum: 1 + random.below(3),
    strataPerBasin: random.chance(0.5) ? 3 : 30,
  };
  const settleBytes = (1 + random.below(8)) * 1024;
  return random.chance(0.4) ? { settleBytes, limits } : { settleBytes };
}

/** Puts a fault on one of the next operations: a failing sync on a datasync, others on any. */
function nextFault(
  random: Random,
): (operation: { number: number; kind: string }) => Fault | undefined {
  let left = random.below(random.chance(0.3) ? 8 : 60);
  const fault = faults[random.below(faults.length)] as Fault;
  return ({ kind }) => {
    if ((fault.kind === 'sync' && kind !== 'datasync') || left < 0) return undefined;
    if (fault.kind === 'error' && kind === 'datasync') return undefined;
    left -= 1;
    return left < 0 ? fault : undefined;
  };
}

class LongLife {
  readonly #random: Random;
  readonly #settings: LifeSettings;
  #state: DiskState | undefined;
  readonly #expected = new ExpectedContent();
  /** Sessions of the batch in flight when the last process ended. */
  #inFlight: readonly Work[] = [];

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#settings = settingsOf(this.#random);
  }

  async run(processes: number): Promise<void> {
    for (let process = 0; process < processes; process++) await this.#process(process);
    await this.#finish();
  }

  #disk(faultOf?: ReturnType<typeof nextFault>): SimulatedDisk {
    const seed = this.#random.below(2 ** 31);
    const state = this.#state === undefined ? {} : { state: this.#state };
    return new SimulatedDisk({ ...state, seed, records: false, ...(faultOf ? { faultOf } : {}) });
  }

  /** One process: opens the store, goes on until a fault ends it, leaves a disk behind. */
  async #process(number: number): Promise<void> {
    const random = this.#random;
    const disk = this.#disk(nextFault(random));
    const life = new Life(disk, this.#settings, this.#expected);
    life.tolerant = true;
    counts.faults += 1;
    try {
      await life.open();
      await life.decide(this.#inFlight);
      await compareStore(life.store, life.expected.current);
      if (random.chance(0.3)) intrude(life, random);
      for (let round = random.below(30); round >= 0; round--) await randomRound(life, random);
      if (random.chance(0.5)) await life.close();
    } catch (error) {
      if (!isTheEnd(error)) throw new Error(`process ${number}: ${error}`, { cause: error });
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (life.hasOpened) this.#inFlight = life.uncertain;
    this.#state = this.#leftBehind(disk);
  }

  /** The power goes, or only the process does and the page cache stays. */
  #leftBehind(disk: SimulatedDisk): DiskState {
    const random = this.#random;
    if (random.chance(0.4)) return disk.state;
    const share = [0, 0.2, 0.5, 0.9, 1][random.below(5)] as number;
    return restarted(powerCut(disk.state, () => random.chance(share)));
  }

  async #finish(): Promise<void> {
    const life = new Life(this.#disk(), this.#settings, this.#expected);
    await life.open();
    await life.decide(this.#inFlight);
    await compareStore(life.store, life.expected.current);
    await life.reopen();
    await compareStore(life.store, life.expected.current);
    counts.lives += 1;
    counts.batches += life.expected.current.batch;
  }
}

/**
 * Lets a session push, write ahead, commit or give up while operations of others are under way.
 */
function intrude(life: Life, random: Random): void {
  const { disk } = life;
  const { faultOf } = disk;
  let draft: Draft | undefined;
  const act = (): void => {
    try {
      draft ??= life.draft();
      draft.push(random.chance(0.1) ? 1_100_000 : random.below(300_000));
      if (random.chance(0.6)) return;
      if (random.chance(0.5)) draft.abandon();
      else void draft.commit();
    } catch {
      // The store is closed, poisoned or not open yet.
    }
    draft = undefined;
  };
  disk.faultOf = (operation) => {
    if (random.chance(0.1)) queueMicrotask(act);
    return faultOf?.(operation);
  };
}

function isTheEnd(error: unknown): boolean {
  return error instanceof LifeOver || isVarveError(error, 'VARVE_POISONED') || hasEnded(error);
}

const first = Number(process.env['VARVE_CRASH_SEED'] ?? 1);

describe('a long life with many faults', () => {
  ticking(vi);

  it.each(Array.from({ length: 10 * crashScale }, (_, at) => first + at))(
    'seed %i',
    async (seed) => {
      await new LongLife(seed).run(25);
    },
  );

  afterAll(() => {
    const { lives, faults: made, batches } = counts;
    console.log(`long lives: ${lives}, processes that met a fault: ${made}, batches: ${batches}`);
  });
});
