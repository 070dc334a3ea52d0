/**
 * One random history of a writer and of a reader beside it, whose steps come between the writer's.
 *
 * The oracle knows what each batch holds. A reader that gives other bytes, no bytes for a grain that
 * its batch has, or calls the file corrupt, breaks its promise; `gone` is always allowed, and is
 * counted. The seed gives the whole history.
 */

import { Random } from '../support/random.ts';
import { Disk, DiskError, type Faults, noFaults } from './disk.ts';
import { Engine, type SessionPlan } from './engine.ts';
import { BrokenPromise } from './history.ts';
import { createStore } from './opening.ts';
import { Reader, type ReaderRule, type Reading } from './reader.ts';
import { allRules } from './rules.ts';
import { grainCount, mapCount } from './sectors.ts';
import { Rejected } from './state.ts';

type Content = readonly (string | undefined)[];

const commitCount = 40;
const readsOfOneState = 12;

export class ReaderHistory {
  readonly #random: Random;
  /** Says when maps are copied and moved; drawn apart. */
  readonly #moves: Random;
  readonly #disk = new Disk();
  readonly #without: ReaderRule | undefined;
  readonly #contents = new Map<number, Content>();
  #engine!: Engine;
  #reading: Reading<void> | undefined;
  #pushes = 0;
  /** How fast the reader is: a slow one reads while the writer makes many commits. */
  #pace = 1;
  right = 0;
  gone = 0;

  constructor(seed: number, without?: ReaderRule) {
    this.#random = new Random(seed);
    this.#moves = new Random(seed + 2_000_000);
    this.#without = without;
  }

  /** Throws `BrokenPromise`. */
  run(): void {
    createStore(this.#disk, allRules);
    this.#engine = new Engine(this.#disk, allRules);
    this.#contents.set(0, new Array<undefined>(grainCount).fill(undefined));
    this.#disk.faults = this.#beside();
    this.#reading = this.#readOn();
    for (let commit = 0; commit < commitCount; commit++) {
      this.#pace = this.#moves.chance(0.5) ? 0.15 : 1;
      this.#commit();
      this.#letRead(this.#random.below(30));
    }
  }

  /** The reader goes on before writes and syncs; now and then a write fails that landed. */
  #beside(): Faults {
    const random = this.#random;
    return {
      ...noFaults,
      onWrite: ({ sector }) => {
        this.#letRead(random.below(4));
        return sector?.kind === 'log' && random.chance(0.03) ? 'error' : 'none';
      },
      failedWriteLands: () => random.chance(0.7),
      onSync: () => {
        this.#letRead(random.below(6));
        return 'none';
      },
    };
  }

  #letRead(steps: number): void {
    const allowed = Math.floor(steps * this.#pace);
    for (let step = 0; step < allowed; step++) this.#reading?.next();
  }

  #commit(): void {
    const random = this.#random;
    const plan = this.#plan();
    const batch = this.#engine.last + 1;
    const values = [...(this.#contents.get(batch - 1) as Content)];
    for (const grain of plan.frees) values[grain] = undefined;
    for (const { grain, bytes } of plan.puts) values[grain] = bytes;
    this.#contents.set(batch, values);
    if (random.chance(0.2)) this.#engine.scribbleOnFreeSpace();
    try {
      if (this.#moves.chance(0.4)) this.#engine.copyMap(this.#moves.below(mapCount));
      const move = this.#moves.chance(0.7) ? this.#engine.possibleMove(plan) : undefined;
      this.#engine.commit({ ...plan, move });
    } catch (error) {
      if (!(error instanceof Rejected || error instanceof DiskError)) throw error;
    }
  }

  #plan(): SessionPlan {
    const random = this.#random;
    const puts: { grain: number; bytes: string }[] = [];
    const frees: number[] = [];
    for (let grain = 0; grain < grainCount; grain++) {
      if (!random.chance(0.3)) continue;
      this.#pushes += 1;
      if (this.#engine.isUsed(grain)) frees.push(grain);
      else puts.push({ grain, bytes: `v${this.#pushes}` });
    }
    const { last } = this.#engine;
    const checkpoint = random.chance(0.6) ? last : undefined;
    return { puts, frees, checkpoint, carries: random.chance(0.5) };
  }

  /** Opens, reads, opens again, without end. */
  *#readOn(): Reading<void> {
    for (;;) {
      const reader = new Reader(this.#disk, this.#without, this.#moves.chance(0.5));
      if (!(yield* reader.open())) throw new BrokenPromise('a sound file was called corrupt');
      const content = this.#contents.get(reader.batch);
      if (content === undefined) throw new BrokenPromise(`there is no batch ${reader.batch}`);
      for (let read = this.#random.below(readsOfOneState); read >= 0; read--) {
        const grain = this.#random.below(grainCount);
        const found = yield* reader.bytesOf(grain);
        if (found === 'gone') this.gone += 1;
        else this.#check(reader.batch, content[grain], found);
      }
    }
  }

  #check(batch: number, wanted: string | undefined, found: { bytes: string } | string): void {
    const bytes = typeof found === 'string' ? undefined : found.bytes;
    if (bytes === wanted && found !== 'corrupt') {
      this.right += 1;
      return;
    }
    const told = typeof found === 'string' ? found : found.bytes;
    throw new BrokenPromise(`wanted ${wanted ?? 'nothing'} of batch ${batch}, found ${told}`);
  }
}

/** What broke in the history of this seed; undefined if every promise was kept. */
export function readerBroken(seed: number, without?: ReaderRule): string | undefined {
  try {
    new ReaderHistory(seed, without).run();
    return undefined;
  } catch (error) {
    if (error instanceof BrokenPromise) return error.message;
    throw error;
  }
}
