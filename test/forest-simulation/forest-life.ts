/**
 * Runs one program on a forest over a slow simulated disk, and compares everything that is held,
 * and the present, with the model after its steps.
 *
 * Invariant: deterministic from the plan. An error is accepted only from an operation that the
 * injected fault can have reached: one that was under way when it struck, or ran on such a one's
 * state; after everything has settled the forest works as before. (A failed sync poisons the store
 * until it is opened again.)
 */

import { Forest, type ForestOptions, type Transaction } from '../../src/forest/index.ts';
import type { GrainId, StoreOptions } from '../../src/index.ts';
import { openCompacting } from '../support/fixtures/compacting-forest.ts';
import { Random } from '../support/random.ts';
import { BodyError } from './body.ts';
import { type Entry, Ledger } from './model/ledger.ts';
import type { State } from './model/model-state.ts';
import {
  type Fate,
  type FaultKind,
  familySize,
  type LeftOut,
  type Plan,
  treeNames,
} from './model/plan.ts';
import {
  difference,
  type Handle,
  type Handles,
  historiesDiffer,
  pushedDiffer,
  readAll,
} from './observation.ts';
import { Chaos, SlowDisk } from './world/chaos.ts';
import { CommitWatch } from './world/commit-watch.ts';
import { type Dialect, dialectOf, vaultOf } from './world/dialects.ts';
import { nameOf, SimulationFailure, unexpected } from './world/failure.ts';
import { InFlight } from './world/in-flight.ts';
import { Reached, type ViewKind } from './world/reached.ts';
import { StoreNeighbour } from './world/store-neighbour.ts';

const path = 'forest';

/** The errors that a fault may come out as. */
const codesOf: Record<FaultKind, readonly string[]> = {
  write: ['VARVE_IO'],
  sync: ['VARVE_POISONED'],
  read: ['VARVE_IO'],
  codec: ['VARVE_CODEC'],
  reducer: ['VARVE_CODEC'],
  vault: ['VARVE_VAULT'],
  listener: [],
  view: [],
};

export interface LifeCounts {
  transactions: number;
  comparisons: number;
  faults: number;
  cuts: number;
}

export class ForestLife {
  readonly plan: Plan;
  readonly chaos = new Chaos();
  readonly slow: SlowDisk;
  readonly ledger = new Ledger();
  readonly neighbour: StoreNeighbour;
  readonly inFlight = new InFlight();
  readonly reached = new Reached();
  readonly #watch = new CommitWatch(this.reached);
  /** Ids of values that were pushed, by a body or by another user. */
  readonly #given = new Set<GrainId>();
  readonly random: Random;
  share = 0.6;
  readonly counts: LifeCounts = { transactions: 0, comparisons: 0, faults: 0, cuts: 0 };
  readonly cuts: { readonly at: number; readonly fate: Fate }[] = [];
  readonly #dialects: readonly [Dialect, Dialect];
  readonly #options: ForestOptions & StoreOptions;
  handles!: Handles;
  /** Errors are accepted for as long as the fault is at work. */
  #calmAt = 0;
  #firedAtOpening = 0;
  isClosing = false;
  isCompacting = false;
  #failure: SimulationFailure | undefined;
  #seeds = 0;
  #listenerWrites: number;
  /** The kinds of the views that are held. */
  heldKinds: () => ReadonlySet<ViewKind> = () => new Set();
  /** What the listener of `onCommit` does while it has writes left. */
  onListenerWrite: (batch: number) => void = () => undefined;
  /** What a body does that writes to the forest and not through `tx`. */
  onOutsideWrite: (tree: number, key: number) => void = () => undefined;

  constructor(plan: Plan, records = false) {
    const { settings } = plan;
    this.plan = plan;
    this.random = new Random(settings.seed + 2);
    this.slow = new SlowDisk(this.chaos, settings.seed, { turnsMax: settings.diskTurns, records });
    this.neighbour = new StoreNeighbour(this);
    this.#listenerWrites = settings.listenerWrites;
    const leaveOutReused = this.leavesOut('reused');
    const [one, other] = settings.dialects;
    this.#dialects = [
      dialectOf(one, this.chaos, leaveOutReused),
      dialectOf(other, this.chaos, leaveOutReused),
    ];
    const { nodeBytes, cacheBytes, nodeCacheBytes, journalBytes, settleBytes } = settings;
    const vault = vaultOf(settings.vault, this.chaos);
    this.#options = {
      fileSystem: this.slow,
      checkpoint: settings.checkpoint,
      ...(vault === undefined ? {} : { vault }),
      ...(nodeBytes === undefined ? {} : { nodeBytes }),
      ...(cacheBytes === undefined ? {} : { cacheBytes }),
      ...(nodeCacheBytes === undefined ? {} : { nodeCacheBytes }),
      ...(journalBytes === undefined ? {} : { journalBytes }),
      ...(settleBytes === undefined ? {} : { settleBytes }),
    };
  }

  get forest(): Forest {
    return this.handles.forest;
  }

  get trees(): readonly Handle[] {
    return this.handles.trees;
  }

  leavesOut(what: LeftOut): boolean {
    return this.plan.settings.leaveOut?.includes(what) === true;
  }

  get operations(): number {
    return this.slow.disk.operations.length;
  }

  // ── opening ──

  /** Opens the forest; once more where the fault struck the opening. */
  async open(): Promise<void> {
    const { fired } = this.chaos;
    try {
      await this.#openOnce();
    } catch (error) {
      const struck = this.chaos.fired > fired;
      if (!struck || !(this.accepts(error) || nameOf(error) === 'VARVE_IO')) {
        throw unexpected('opening', error);
      }
      this.chaos.disarm();
      await this.#openOnce();
    }
    this.isClosing = false;
    this.#firedAtOpening = this.chaos.fired;
    const { forest } = this;
    let last = forest.store.currentBatch;
    forest.onCommit(({ batch, trees }) => {
      if (batch <= last || trees.length === 0) {
        this.fail(new SimulationFailure('onCommit', `batch ${batch} after ${last}: ${trees}`));
      }
      last = batch;
      if (this.#listenerWrites-- > 0) {
        this.reached.note('listener wrote');
        this.onListenerWrite(batch);
      }
      this.chaos.call('listener');
    });
  }

  /** Where the trees cannot be read the forest is closed again. */
  async #openOnce(): Promise<void> {
    const forest = await this.#opened(this.#options);
    try {
      this.handles = this.handlesOf(forest);
    } catch (error) {
      await forest.close();
      throw error;
    }
  }

  handlesOf(forest: Forest): Handles {
    const trees = treeNames.map((name, at) =>
      forest.tree(name, this.#dialects[at < familySize ? 0 : 1].options),
    );
    return { forest, trees, dialects: this.#dialects };
  }

  #opened(options: ForestOptions & StoreOptions): Promise<Forest> {
    const { compacts = false } = this.plan.settings;
    return compacts ? openCompacting(path, options) : Forest.open(path, options);
  }

  /** Opens the same forest on another disk. */
  async openOn(fileSystem: StoreOptions['fileSystem']): Promise<Handles> {
    return this.handlesOf(await this.#opened({ ...this.#options, fileSystem }));
  }

  // ── what may fail ──

  fail(failure: SimulationFailure): void {
    this.#failure ??= failure;
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** A fault has struck and not everything has settled since, or no commit succeeds since. */
  get isWindow(): boolean {
    return this.chaos.fired > this.#calmAt || this.isPoisoned;
  }

  /** A sync has failed since the forest was opened. */
  get isPoisoned(): boolean {
    return this.chaos.lastKind === 'sync' && this.chaos.fired > this.#firedAtOpening;
  }

  accepts(error: unknown): boolean {
    const code = nameOf(error);
    if (this.isClosing && ['VARVE_CLOSED', 'VARVE_SESSION_ENDED'].includes(code)) return true;
    const kind = this.chaos.lastKind;
    if (this.isPoisoned && code === 'VARVE_POISONED') return true;
    return this.isWindow && kind !== undefined && codesOf[kind].includes(code);
  }

  attempt<T>(what: string, read: () => T): { readonly value: T } | undefined {
    const { fired } = this.chaos;
    try {
      return { value: read() };
    } catch (error) {
      const struck = this.chaos.fired > fired;
      if ((struck || this.isClosing) && this.accepts(error)) return undefined;
      throw error instanceof SimulationFailure ? error : unexpected(what, error);
    }
  }

  attemptLater<T>(
    what: string,
    read: () => Promise<T>,
    then: (value: T | undefined) => void,
  ): void {
    const { fired } = this.chaos;
    this.follow({ name: what, isWrite: false }, read(), then, (error) => {
      const struck = this.chaos.fired > fired;
      if ((struck || this.isClosing) && this.accepts(error)) then(undefined);
      else this.fail(unexpected(what, error));
    });
  }

  /** Follows a promise in the background; what the handlers throw is a failure of the life. */
  follow<T>(
    what: { readonly name: string; readonly isWrite: boolean },
    promise: Promise<T>,
    resolved: (value: T) => void,
    rejected: (error: unknown) => void,
  ): void {
    const guarded =
      <A>(act: (value: A) => void) =>
      (value: A): void => {
        try {
          act(value);
        } catch (error) {
          this.fail(error instanceof SimulationFailure ? error : unexpected(what.name, error));
        }
      };
    this.inFlight.follow(what, promise, {
      resolved: guarded(resolved),
      rejected: guarded(rejected),
    });
  }

  followCommit(
    name: string,
    commit: Promise<unknown>,
    then: (done: boolean | undefined) => void,
  ): void {
    const rejected = (error: unknown): void => {
      then(nameOf(error) === 'VARVE_POISONED' ? undefined : false);
      if (!this.accepts(error)) throw unexpected(name, error);
    };
    this.follow({ name, isWrite: true }, commit, () => then(true), rejected);
  }

  compared(): void {
    this.counts.comparisons += 1;
  }

  outsideWrite(tree: number, key: number): void {
    this.onOutsideWrite(tree, key);
  }

  /** A value has been pushed under this id. */
  given(id: GrainId): void {
    if (this.#given.has(id)) {
      this.reached.note('grains given again');
      if (this.heldKinds().size > 0) this.reached.note('grains given again under a view');
    }
    this.#given.add(id);
  }

  lookAtRoot(): void {
    this.#watch.lookAtRoot(this.forest, this.chaos);
  }

  nextSeed(): number {
    this.#seeds += 1;
    return this.#seeds;
  }

  historiesDiffer(state: State, handles = this.handles): string | undefined {
    return this.leavesOut('histories') ? undefined : historiesDiffer(handles, state);
  }

  versioned(tree: number): boolean {
    return this.#dialects[tree < familySize ? 0 : 1].versioned;
  }

  // ── the ledger ──

  /** Follows a write of the ledger. `check` looks at what it resolves to. */
  write<T>(entry: Entry, promise: Promise<T>, check?: (value: T) => void): void {
    this.counts.transactions += 1;
    if (this.ledger.unsettled.length >= 3) this.reached.note('three transactions in flight');
    const resolved = (value: T): void => {
      this.resolved(entry);
      check?.(value);
    };
    const rejected = (error: unknown): void => this.rejected(entry, error);
    this.follow({ name: entry.what, isWrite: true }, promise, resolved, rejected);
  }

  resolved(entry: Entry): void {
    entry.phase = 'resolved';
    entry.resolvedAt = this.operations;
    this.#watch.resolved(entry.effects, this.heldKinds(), this.forest);
    this.ledger.fold();
  }

  rejected(entry: Entry, error: unknown): void {
    const isOwn = error instanceof BodyError;
    this.reached.kind('rejected', isOwn ? 'BodyError' : nameOf(error));
    entry.phase = nameOf(error) === 'VARVE_POISONED' ? 'uncertain' : 'gone';
    if (entry.phase === 'uncertain' && entry.effects.some((effect) => 'push' in effect)) {
      this.reached.note('poisoned with a push in flight');
    }
    if (entry.thrown !== error && !this.accepts(error)) {
      this.fail(unexpected(`${entry.what} rejects`, error));
    }
    this.ledger.fold();
  }

  /** The body of an entry has returned or thrown. */
  ended(entry: Entry): void {
    entry.phase = 'ended';
    entry.endedAt = this.operations;
  }

  /** The state that a body runs on; while a fault is at work, the body is asked what it sees. */
  baseOf(entry: Entry, tx: Transaction): State {
    if (!this.isWindow && !this.isClosing) {
      const before = this.ledger.notRunBefore(entry);
      if (before === undefined) return this.ledger.tip(entry);
      throw new SimulationFailure('a body runs before one that was asked for earlier', before.what);
    }
    const { handles } = this;
    const reading = readAll(handles, (handle) => tx.tree(handle), {
      random: this.random,
      share: 1,
    });
    const { get } = tx as { get?: (id: GrainId) => Uint8Array | undefined };
    const fits = (state: State): boolean =>
      difference(handles, reading, state) === undefined &&
      (get === undefined || pushedDiffer((id) => get.call(tx, id), state) === undefined);
    for (const state of this.ledger.tips(entry, this.isPoisoned)) if (fits(state)) return state;
    const expected = this.ledger.tip(entry);
    const detail = difference(handles, reading, expected) ?? 'of its pushed values';
    throw new SimulationFailure('a body runs on a state that there is not', detail);
  }

  /** Everything settles; after that no fault is at work. Throws the first failure. */
  async settle(): Promise<void> {
    await this.inFlight.settle(() => this.slow.disk.operations.length + this.slow.disk.reads);
    this.throwFailure();
    this.#calmAt = this.chaos.fired;
  }
}
