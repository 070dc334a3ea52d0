/**
 * One random history of a store, and the oracle that says whether the store kept its promises.
 *
 * Acknowledged is there; all or nothing; what was rejected stays away; what an opening decided
 * stays decided; the log after the checkpoint is there; no sound file is called corrupt. The seed
 * gives the whole history. A broken promise is thrown as `BrokenPromise`; anything else that is
 * thrown is a bug of the model.
 */

import { Random } from '../support/random.ts';
import { Crash, Disk, DiskError, noFaults } from './disk.ts';
import { Engine, opsOf, type SessionPlan } from './engine.ts';
import { createStore, isBlank } from './opening.ts';
import { RandomFaults } from './random-faults.ts';
import type { Rules } from './rules.ts';
import { grainCount, mapCount, opsCrc } from './sectors.ts';
import { Corrupt, Poisoned, Rejected } from './state.ts';

export class BrokenPromise extends Error {}

/** What some of a history's commits do; by default all of it. */
export interface HistoryKinds {
  /** Records carry their values. */
  readonly carries?: boolean;
  /** Maps are copied and moved. */
  readonly moves?: boolean;
}

const stepCount = 40;
const openAttemptsMax = 40;
const openFaultsMax = 6;

/** What the store should hold: the state after one batch, and the way there. */
interface Expected {
  readonly batch: number;
  readonly checkpoint: number;
  readonly values: readonly (string | undefined)[];
  /** What the record of the batch says. */
  readonly work: string;
  readonly before: Expected | undefined;
}

export class History {
  readonly #rules: Rules;
  readonly #random: Random;
  /** Says which records carry their values; drawn apart. */
  readonly #carrying: Random | undefined;
  /** Says when maps are copied and moved; drawn apart. */
  readonly #moving: Random | undefined;
  readonly #faults: RandomFaults;
  readonly #disk = new Disk();
  #engine: Engine | undefined;
  #acknowledged: Expected = {
    batch: 0,
    checkpoint: 0,
    values: new Array<undefined>(grainCount).fill(undefined),
    work: '',
    before: undefined,
  };
  /** A batch that was neither acknowledged nor rejected: it may be there or not. */
  #undecided: Expected | undefined;
  /** The last plan that did not make it. */
  #retry: SessionPlan | undefined;
  /** A batch that failed may have left its values where the last batch freed something. */
  #strayValues = false;
  /** The work of every acknowledged batch. */
  readonly #works = new Map<number, string>();
  /** Records up to here may have rotted. */
  #rottenLogUpTo = 0;

  constructor(rules: Rules, seed: number, { carries = true, moves = true }: HistoryKinds = {}) {
    this.#carrying = carries ? new Random(seed + 1_000_000) : undefined;
    this.#moving = moves ? new Random(seed + 2_000_000) : undefined;
    this.#rules = rules;
    this.#random = new Random(seed);
    this.#faults = new RandomFaults(this.#random);
    this.#disk.faults = this.#faults;
  }

  run(): void {
    this.#reopen();
    for (let step = 0; step < stepCount; step++) this.#step();
    this.#faults.probability = 0;
    this.#reopen();
  }

  #step(): void {
    const random = this.#random;
    this.#faults.probability = random.chance(0.25) ? 0.06 : 0;
    if (random.chance(0.1)) this.#disk.evict();
    try {
      const choice = random.next();
      if (choice < 0.12) this.#close();
      else if (choice < 0.17) this.#restart('kill');
      else this.#commit();
    } catch (error) {
      this.#afterFailure(error);
    }
  }

  #afterFailure(error: unknown): void {
    this.#faults.probability = 0;
    if (error instanceof Rejected) {
      this.#undecided = undefined;
      return;
    }
    if (error instanceof Crash) {
      this.#reopen();
    } else if (error instanceof Poisoned || error instanceof DiskError) {
      this.#restart(this.#random.chance(0.2) ? 'cut' : 'kill');
    } else {
      throw error;
    }
  }

  #close(): void {
    try {
      this.#engine?.close();
    } catch (error) {
      // The process ends, whatever close had to say.
      if (!(error instanceof Rejected)) throw error;
    }
    this.#restart(this.#random.chance(0.5) ? 'cut' : 'kill');
  }

  #restart(kind: 'cut' | 'kill'): void {
    this.#faults.probability = 0;
    if (kind === 'cut') this.#disk.cutPower();
    this.#reopen();
  }

  #commit(): void {
    const engine = this.#engine as Engine;
    if (this.#moving?.chance(0.3) === true) this.#copy(engine, this.#moving.below(mapCount));
    const isMove = this.#moving?.chance(0.6) === true;
    const next = this.#nextPlan(engine);
    const plan = { ...next, move: isMove ? engine.possibleMove(next) : undefined };
    this.#retry = { ...plan, move: undefined };
    if (this.#random.chance(0.3)) engine.scribbleOnFreeSpace();
    this.#undecided = this.#outcomeOf(plan);
    this.#strayValues = true;
    engine.commit(plan);
    this.#strayValues = false;
    this.#retry = undefined;
    this.#faults.probability = 0;
    this.#acknowledged = this.#undecided;
    this.#decide(engine, [this.#acknowledged]);
  }

  /** A copy that the disk refuses is given up. */
  #copy(engine: Engine, map: number): void {
    try {
      engine.copyMap(map);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }

  #outcomeOf(plan: SessionPlan): Expected {
    const before = this.#acknowledged;
    const values = [...before.values];
    for (const grain of plan.frees) values[grain] = undefined;
    for (const { grain, bytes } of plan.puts) values[grain] = bytes;
    const checkpoint = Math.max(before.checkpoint, plan.checkpoint ?? 0);
    const older = before.before ? { ...before, before: undefined } : before;
    const work = opsCrc(opsOf(plan));
    return { batch: before.batch + 1, checkpoint, values, work, before: older };
  }

  // ------------------------------------------------------------------------------------ plans --

  /** Few grains, few different bytes, low grains first: old and new are easily mistaken. */
  #nextPlan(engine: Engine): SessionPlan {
    const random = this.#random;
    const retry = this.#retry;
    if (retry && random.chance(0.6) && isPossible(engine, retry)) {
      return random.chance(0.5) ? retry : { ...this.#freshPlan(engine), puts: retry.puts };
    }
    return this.#freshPlan(engine);
  }

  #freshPlan(engine: Engine): SessionPlan {
    const random = this.#random;
    const free: number[] = [];
    const live: number[] = [];
    for (let grain = 0; grain < grainCount; grain++) {
      (engine.isUsed(grain) ? live : free).push(grain);
    }
    const frees: number[] = [];
    const freeCount = live.length > 4 ? 1 + random.below(3) : random.below(2);
    for (let count = 0; count < freeCount && live.length > 0; count++) {
      frees.push(...live.splice(random.below(live.length), 1));
    }
    // Reusing what this very batch frees is what the rule forbids.
    if (!this.#rules.freeAfterSync) free.push(...frees);
    const puts: { grain: number; bytes: string }[] = [];
    const putCount = 1 + random.below(3);
    for (let count = 0; count < putCount && free.length > 0; count++) {
      const [grain] = free.splice(random.below(Math.min(3, free.length)), 1);
      puts.push({ grain: grain as number, bytes: random.chance(0.5) ? 'a' : 'b' });
    }
    const unchecked = engine.last - engine.checkpoint;
    const checkpoint = unchecked > 8 || random.chance(0.3) ? engine.last : undefined;
    return { puts, frees, checkpoint, carries: this.#carrying?.chance(0.5) === true };
  }

  // ---------------------------------------------------------------------------------- opening --

  #reopen(): void {
    this.#engine = undefined;
    if (this.#random.chance(0.3)) this.#disk.evict();
    // One fault at a time: nothing rots while something else is wrong.
    const sound = this.#disk.settled && !this.#strayValues;
    const page = sound && this.#random.chance(0.1) ? this.#pickPage() : undefined;
    if (page === undefined) this.#openThroughFaults();
    else this.#openAfterRot(page);
    this.#faults.probability = 0;
  }

  #openThroughFaults(): void {
    const random = this.#random;
    for (let attempt = 0; attempt < openAttemptsMax && !this.#engine; attempt++) {
      this.#faults.probability = attempt < openFaultsMax && random.chance(0.5) ? 0.2 : 0;
      try {
        this.#engine = this.#open();
      } catch (error) {
        if (error instanceof DiskError) this.#disk.evict();
        else if (error instanceof Corrupt) this.#break(`called corrupt: ${error.message}`);
        else if (!(error instanceof Crash)) throw error;
      }
    }
    this.#decide(this.#engine as Engine, [this.#acknowledged, this.#undecided]);
  }

  #open(): Engine {
    if (isBlank(this.#disk) && this.#acknowledged.batch === 0) createStore(this.#disk, this.#rules);
    return new Engine(this.#disk, this.#rules);
  }

  /** The store must hold one of these now, and holds to it from now on. */
  #decide(engine: Engine, allowed: readonly (Expected | undefined)[]): void {
    const decided = allowed.find((expected) => expected && this.#shows(engine, expected));
    if (!decided) this.#break('wrong state', engine);
    this.#acknowledged = decided;
    this.#undecided = undefined;
    this.#works.set(decided.batch, decided.work);
    this.#checkLog(engine, decided);
  }

  #checkLog(engine: Engine, decided: Expected): void {
    let log = new Map<number, string>();
    try {
      log = engine.commitLog();
    } catch (error) {
      if (!(error instanceof Corrupt)) throw error;
      this.#break(`called corrupt: ${error.message}`);
    }
    for (let batch = decided.checkpoint + 1; batch <= decided.batch; batch++) {
      if (batch <= this.#rottenLogUpTo || log.get(batch) === this.#works.get(batch)) continue;
      this.#break(`log entry ${batch} is ${log.get(batch)}`);
    }
  }

  #shows(engine: Engine, expected: Expected): boolean {
    const { batch, checkpoint, values } = expected;
    if (engine.last !== batch || engine.checkpoint !== checkpoint) return false;
    return engine.values().join() === values.join();
  }

  #break(when: string, engine?: Engine): never {
    const show = (batch: number, values: readonly (string | undefined)[]) =>
      `${batch}[${values.map((value) => value ?? '-').join('')}]`;
    const wanted = [this.#acknowledged, this.#undecided]
      .filter((expected) => expected !== undefined)
      .map(({ batch, values }) => show(batch, values))
      .join(' or ');
    const found = engine ? `, found ${show(engine.last, engine.values())}` : '';
    throw new BrokenPromise(`${when}: wanted ${wanted}${found}`);
  }

  // -------------------------------------------------------------------------------------- rot --

  #pickPage(): string | undefined {
    const pages = this.#disk.pages().filter((page) => !page.startsWith('values'));
    return pages[this.#random.below(pages.length)];
  }

  /** One damaged page, and no other fault: refused untouched, or all there but for one batch. */
  #openAfterRot(page: string): void {
    const isLog = page.startsWith('log');
    const damage = this.#random.chance(0.5) ? undefined : ({ kind: 'rotten' } as const);
    const undo = this.#disk.rot(page, damage);
    const writesBefore = this.#disk.writeCount;
    this.#disk.faults = noFaults;
    try {
      this.#engine = this.#open();
    } catch (error) {
      if (!(error instanceof Corrupt)) throw error;
      if (this.#disk.writeCount !== writesBefore) this.#break('refused, but written to');
      if (page.startsWith('header')) this.#break(`one rotten header: ${error.message}`);
      undo();
      this.#disk.faults = this.#faults;
      this.#openThroughFaults();
      return;
    } finally {
      this.#disk.faults = this.#faults;
    }
    const before = isLog ? this.#acknowledged.before : undefined;
    if (isLog) this.#rottenLogUpTo = this.#acknowledged.batch;
    this.#decide(this.#engine, [this.#acknowledged, this.#undecided, before]);
  }
}

function isPossible(engine: Engine, plan: SessionPlan): boolean {
  const free = plan.puts.every(({ grain }) => !engine.isUsed(grain));
  return free && plan.frees.every((grain) => engine.isUsed(grain));
}
