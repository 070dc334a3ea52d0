/**
 * Runs one simulated life: steps over a simulated disk, held against a plain model after every
 * opening, with processes that end in a power cut, a kill, a failed sync, and are succeeded by the
 * next; and beside them power cuts of which nothing follows, at operations picked at random.
 *
 * Invariant: deterministic from the plan and the seed. A life that runs to its end has shown: what
 * was acknowledged is there after every opening, the batch in flight wholly or not at all, and
 * `verify({ deep })` finds nothing.
 */

import { isVarveError } from '../../src/errors.ts';
import type { CheckpointGuard } from '../../src/index.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import {
  type DiskOperation,
  type Fault,
  hasEnded,
  SimulatedDisk,
} from '../support/disks/simulated-disk.ts';
import type { Draft } from '../support/lives/draft.ts';
import { Life, LifeOver } from '../support/lives/life.ts';
import { acknowledgedBefore, commitMore, reopened } from '../support/lives/trial.ts';
import { compareStore } from '../support/oracles/compare-store.ts';
import { ExpectedContent, type Work } from '../support/oracles/expected-content.ts';
import { Random } from '../support/random.ts';
import { type Fate, fateOf, keeping, type SimulationPlan, type Step } from './steps.ts';

/** What has been tried. */
export interface SimulationCounts {
  lives: number;
  cuts: number;
  kills: number;
  faults: number;
  batches: number;
  verified: number;
  compactions: number;
}

export function noCounts(): SimulationCounts {
  return { lives: 0, cuts: 0, kills: 0, faults: 0, batches: 0, verified: 0, compactions: 0 };
}

/** A plan that does not hold; a shorter one that shows it, where a cut beside the life did. */
export class SimulationFailure extends Error {
  readonly plan: SimulationPlan;

  constructor(place: string, { cause, plan }: { cause: unknown; plan: SimulationPlan }) {
    super(`${place}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    this.plan = plan;
  }
}

/** Something that is to happen at an operation to come. */
type Armed = Extract<Step, { after: number }> & { left: number };

/** How many cuts are made beside a life, for each operation of its disk; 0: none. */
export interface SimulationHow {
  readonly cutsBeside: number;
  readonly seed: number;
}

export class Simulation {
  readonly #plan: SimulationPlan;
  readonly #random: Random;
  /** For what is beside the life: it must not change what the life does. */
  readonly #aside: Random;
  readonly #intruding: Random;
  #intruder: Draft | undefined;
  #intrusions: Promise<unknown>[] = [];
  /** How a compaction that runs beside the steps has ended, or is going to. */
  #compacting: Promise<{ readonly error: unknown } | undefined> | undefined;
  readonly #cutsBeside: number;
  readonly #counts: SimulationCounts;
  readonly #expected = new ExpectedContent();
  #life!: Life;
  #guards: CheckpointGuard[] = [];
  #armed: Armed[] = [];
  /** The power went with the process that ended last. */
  #fate: Fate | undefined;
  /** Operations of this process before the first fault; undefined while there was none. */
  #soundUntil: number | undefined;
  /** The first operation of each step run by this process. */
  #begins: { readonly step: number; readonly operation: number }[] = [];
  #step = 0;

  constructor(plan: SimulationPlan, how: SimulationHow, counts: SimulationCounts) {
    this.#plan = plan;
    this.#random = new Random(how.seed);
    this.#aside = new Random(how.seed + 1);
    this.#intruding = new Random(how.seed + 2);
    this.#cutsBeside = how.cutsBeside;
    this.#counts = counts;
  }

  /** Throws `SimulationFailure`. */
  async run(): Promise<void> {
    try {
      await this.#begin(undefined, []);
      for (const [at, step] of this.#plan.steps.entries()) {
        this.#step = at;
        this.#begins.push({ step: at, operation: this.#life.disk.operations.length });
        const ended = await this.#orSucceed(() => this.#do(step));
        // What was taken back is tried again and leaves the same bytes in the same grains.
        if (ended && this.#plan.settings.sameBytes === true && step.do === 'commit') {
          await this.#orSucceed(() => this.#do(step));
        }
      }
      this.#step = this.#plan.steps.length;
      this.#armed = [];
      await this.#orSucceed(() => this.#reopen());
      await this.#cutBeside();
      this.#counts.lives += 1;
      this.#counts.batches += this.#life.expected.current.batch;
    } catch (error) {
      if (error instanceof SimulationFailure) throw error;
      throw new SimulationFailure(`step ${this.#step}`, { cause: error, plan: this.#plan });
    }
  }

  /** Does a piece of the life; true where the process ended in it and another succeeded it. */
  async #orSucceed(act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      return false;
    } catch (error) {
      if (!isTheEnd(error)) throw error;
      await this.#succeed();
      return true;
    }
  }

  // ── processes ──

  /** A process opens the store; it, too, may end in that. */
  async #begin(state: DiskState | undefined, inFlight: readonly Work[]): Promise<void> {
    const seed = this.#random.below(2 ** 31);
    const disk = new SimulatedDisk({
      ...(state === undefined ? {} : { state }),
      seed,
      faultOf: (operation) => this.#faultOf(operation),
      records: this.#cutsBeside > 0,
    });
    const life = new Life(disk, this.#plan.settings, this.#expected);
    life.tolerant = true;
    this.#life = life;
    this.#guards = [];
    this.#intruder = undefined;
    this.#intrusions = [];
    this.#begins = [{ step: this.#step, operation: 0 }];
    this.#soundUntil = undefined;
    try {
      await life.open();
      await life.decide(inFlight);
      await compareStore(life.store, life.expected.current);
      this.#counts.verified += 1;
    } catch (error) {
      if (!isTheEnd(error)) throw error;
      await this.#succeed(life.hasOpened ? undefined : inFlight);
    }
  }

  async #succeed(undecided?: readonly Work[]): Promise<void> {
    // The other sessions of the batch hear of the end in the same turn.
    await new Promise((resolve) => setImmediate(resolve));
    const life = this.#life;
    await this.#compacting;
    this.#compacting = undefined;
    await this.#cutBeside();
    const fate = this.#fate;
    this.#fate = undefined;
    if (fate === undefined) this.#counts.kills += 1;
    else this.#counts.cuts += 1;
    const { state } = life.disk;
    const left = fate === undefined ? state : restarted(powerCut(state, keeping(fate)));
    await this.#begin(left, undecided ?? life.uncertain);
  }

  #faultOf(operation: DiskOperation): Fault | undefined {
    if (this.#plan.settings.intrudes === true && this.#intruding.chance(0.1)) {
      queueMicrotask(() => this.#intrude());
    }
    for (const armed of this.#armed) {
      const sync = operation.kind === 'datasync';
      if ((armed.do === 'fail-sync' && !sync) || (armed.do === 'fail' && sync)) continue;
      armed.left -= 1;
      if (armed.left >= 0) continue;
      if (armed.do !== 'fail' || armed.left <= -armed.times) {
        this.#armed = this.#armed.filter((one) => one !== armed);
      }
      this.#soundUntil ??= operation.number;
      this.#counts.faults += 1;
      if (armed.do === 'fail') return { kind: 'error', code: armed.code };
      if (armed.do === 'fail-sync') return { kind: 'sync', cache: armed.cache };
      this.#fate = armed.do === 'cut' ? armed.fate : undefined;
      return { kind: 'end' };
    }
    return undefined;
  }

  /** A session pushes, writes ahead, commits or gives up while operations of others are under way. */
  #intrude(): void {
    const random = this.#intruding;
    try {
      this.#intruder ??= this.#life.draft();
      const draft = this.#intruder;
      draft.push(random.chance(0.1) ? 1_100_000 : random.below(300_000));
      if (random.chance(0.6)) return;
      if (random.chance(0.5)) draft.abandon();
      else this.#intrusions.push(draft.commit());
    } catch {
      // The store is closed, poisoned or not open yet.
    }
    this.#intruder = undefined;
  }

  async #settleIntrusions(): Promise<void> {
    while (this.#intrusions.length > 0) {
      const settled = await Promise.allSettled(this.#intrusions.splice(0));
      const end = settled.find((one) => one.status === 'rejected' && isTheEnd(one.reason));
      if (end?.status === 'rejected') throw end.reason;
    }
  }

  // ── steps ──

  async #do(step: Step): Promise<void> {
    const life = this.#life;
    switch (step.do) {
      case 'commit':
        return await this.#commit(step);
      case 'put':
        return await life.put(step.length);
      case 'guard':
        this.#guards.push(life.store.guard(this.#batch(step.share, life.store.checkpoint)));
        return;
      case 'release':
        this.#guards.splice(Math.floor(step.share * this.#guards.length), 1)[0]?.release();
        return;
      case 'read':
        return await this.#read(step.share);
      case 'verify':
        return await this.#compare();
      case 'reopen':
        this.#guards = [];
        return await this.#reopen();
      case 'compact':
        return await this.#compact(step.beside);
      default:
        this.#armed.push({ ...step, left: step.after });
    }
  }

  async #compact(beside: boolean): Promise<void> {
    await this.#settleCompaction();
    this.#counts.compactions += 1;
    this.#compacting = this.#life.compact().then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    if (!beside) await this.#settleCompaction();
  }

  async #settleCompaction(): Promise<void> {
    const ended = await this.#compacting;
    this.#compacting = undefined;
    if (ended !== undefined) throw ended.error;
  }

  async #compare(): Promise<void> {
    await this.#settleCompaction();
    await this.#settleIntrusions();
    await compareStore(this.#life.store, this.#life.expected.current);
  }

  async #reopen(): Promise<void> {
    await this.#settleIntrusions();
    // The close stops a compaction.
    await this.#life.close();
    await this.#settleCompaction();
    await this.#life.open();
    await this.#compare();
  }

  /** A batch from `least` to the current one. */
  #batch(share: number, least: number): number {
    return least + Math.floor(share * (this.#life.expected.current.batch + 1 - least));
  }

  async #commit({ sessions }: Extract<Step, { do: 'commit' }>): Promise<void> {
    const life = this.#life;
    const commits: (Promise<unknown> | undefined)[] = [];
    for (const plan of sessions) {
      const draft = life.draft();
      for (const length of plan.push) draft.push(length);
      for (const share of plan.archive) {
        const { live } = life;
        draft.archive(...live.slice(Math.floor(share * live.length)).slice(0, 1));
      }
      if (plan.checkpoint !== undefined) this.#checkpoint(draft, plan.checkpoint);
      if (plan.header !== undefined) {
        const own = draft.work.operations.find(({ operation }) => operation === 'allocate');
        draft.setHeader(plan.header === 'own' && own !== undefined ? own.id : null);
      }
      if (plan.end === 'abandon') draft.abandon();
      else commits.push(this.#isSync(plan.end) ? draft.commitSync() : draft.commit());
      for (let hop = plan.pause ?? 0; hop > 0; hop--) await undefined;
    }
    await Promise.all(commits);
  }

  /** Not beside an intruder: it may hear of its batch after a `commitSync` of the next one. */
  #isSync(end: string): boolean {
    return end === 'commitSync' && this.#plan.settings.intrudes !== true;
  }

  /** A guard may hold the checkpoint back. */
  #checkpoint(draft: Draft, share: number): void {
    const { batch, checkpoint } = this.#life.expected.current;
    if (batch <= checkpoint) return;
    const wanted = this.#batch(share, checkpoint + 1);
    draft.checkpointTo(wanted);
    draft.work.checkpointTo = Math.min(wanted, ...this.#guards.map((guard) => guard.batch));
  }

  async #read(share: number): Promise<void> {
    const { store, expected } = this.#life;
    const values = [...expected.current.values];
    const [id, value] = values[Math.floor(share * values.length)] ?? [];
    if (id === undefined || value === undefined) return;
    const found = await store.getAsync(id);
    if (found !== undefined && Buffer.compare(found, value.bytes) === 0) return;
    throw new Error(`getAsync of ${id} does not give what was pushed`);
  }

  // ── cuts beside the life ──

  /**
   * Cuts the power at operations of the process that has ended, up to its first fault and the last
   * batch that was acknowledged, and looks at what the next opening shows.
   */
  async #cutBeside(): Promise<void> {
    const life = this.#life;
    const { before } = life.disk;
    if (this.#cutsBeside === 0 || !life.hasOpened || life.rejected.length > 0) return;
    const known = life.acknowledged.at(-1)?.operation ?? 0;
    const first = life.acknowledged[0]?.operation ?? 0;
    const end = Math.min(known, this.#soundUntil ?? known, before.length);
    for (let left = Math.ceil((end - first) * this.#cutsBeside); left > 0; left--) {
      const at = first + this.#aside.below(end - first);
      await this.#cutAt(at, fateOf(this.#aside));
    }
  }

  async #cutAt(at: number, fate: Fate): Promise<void> {
    const life = this.#life;
    const state = life.disk.before[at] as DiskState;
    this.#counts.cuts += 1;
    try {
      const cut = restarted(powerCut(state, keeping(fate)));
      const { settings, expected } = life;
      // Every value is read and held against what it should be in any case.
      const deep = this.#aside.chance(0.25);
      const floor = acknowledgedBefore(life, at);
      const next = await reopened(cut, { settings, expected, deep }, floor);
      this.#counts.verified += 1;
      if (this.#aside.chance(0.1)) await this.#goOn(next);
    } catch (error) {
      const plan = this.#planOf(at, fate);
      throw new SimulationFailure(`a cut at operation ${at}`, { cause: error, plan });
    }
  }

  /** A store that recovered takes a commit and keeps it. */
  async #goOn(life: Life): Promise<void> {
    await commitMore(life);
    const { batch } = life.expected.current;
    await reopened(restarted(powerCut(life.disk.state, () => false)), life, batch);
    this.#counts.cuts += 1;
    this.#counts.verified += 1;
  }

  /** The plan in which the cut is a step. */
  #planOf(at: number, fate: Fate): SimulationPlan {
    const { settings, steps } = this.#plan;
    const begun = this.#begins.findLast(({ operation }) => operation <= at);
    const step = begun?.step ?? 0;
    const cut: Step = { do: 'cut', after: at - (begun?.operation ?? 0), fate };
    const more: Step = {
      do: 'commit',
      sessions: [{ push: [33, 444], archive: [0, 0], end: 'commit' }],
    };
    const before = steps.slice(0, step);
    return { settings, steps: [...before, cut, ...steps.slice(step, step + 1), more] };
  }
}

function isTheEnd(error: unknown): boolean {
  return error instanceof LifeOver || isVarveError(error, 'VARVE_POISONED') || hasEnded(error);
}
