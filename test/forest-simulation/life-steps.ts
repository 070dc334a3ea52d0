/**
 * Does the steps of a program one after another, and looks at the present and at everything that is
 * held in between.
 *
 * Invariant: a step never waits for what it has begun, except `settle` and `close`.
 */

import type { Forest, ReadableTree } from '../../src/forest/index.ts';
import { settleOnCopy } from './failed-sync.ts';
import type { ForestLife } from './forest-life.ts';
import {
  fitting,
  HeldAsyncIterator,
  HeldGuard,
  HeldIterator,
  HeldSnapshot,
  type HeldView,
} from './held-views.ts';
import { compactIn } from './life-compactions.ts';
import { LifeWrites } from './life-writes.ts';
import { bytesOf, type State } from './model/model-state.ts';
import type { Step } from './model/plan.ts';
import {
  difference,
  type Handle,
  namesDiffer,
  pushedDiffer,
  readAll,
  readPushed,
} from './observation.ts';
import { turns } from './world/chaos.ts';
import { SimulationFailure } from './world/failure.ts';

export class LifeSteps {
  readonly #life: ForestLife;
  readonly #writes: LifeWrites;
  readonly #views: HeldView[] = [];
  /** Called at each look: reads of single keys that are under way. */
  readonly #openReads = new Set<() => void>();

  constructor(life: ForestLife) {
    this.#life = life;
    this.#writes = new LifeWrites(life);
    life.heldKinds = () => new Set(this.#views.flatMap(({ kind }) => kind ?? []));
  }

  /**
   * Undefined where the step took no turn of any queue: the next one is then asked for in the same
   * turn, and shares its commit.
   */
  run(step: Step): Promise<void> | undefined {
    const { turns: turnCount = 0, hops = 0 } = step;
    if (step.do !== 'fault' && step.do !== 'cut') this.#life.reached.kind('step', step.do);
    const waiting = this.#wait(step);
    if (waiting === undefined) this.#perform(step);
    // What only arms something must not change what the life does until then.
    if (step.do === 'fault' || step.do === 'cut') return undefined;
    if (waiting !== undefined || turnCount + hops > 0) {
      return this.#lookAfter(waiting, turnCount, hops);
    }
    this.#mayLook();
    return undefined;
  }

  async #lookAfter(
    waiting: Promise<void> | undefined,
    turnCount: number,
    hops: number,
  ): Promise<void> {
    await waiting;
    for (let hop = hops; hop > 0; hop--) await undefined;
    await turns(turnCount);
    this.#mayLook();
  }

  #mayLook(): void {
    this.#life.throwFailure();
    if (this.#life.random.chance(this.#life.plan.settings.looks)) this.look();
    this.#life.throwFailure();
  }

  #wait(step: Step): Promise<void> | undefined {
    if (step.do === 'settle') return this.#life.settle();
    return step.do === 'close' ? this.close(step.by) : undefined;
  }

  #perform(step: Step): void {
    const life = this.#life;
    const { store } = life.forest;
    switch (step.do) {
      case 'transaction':
        this.#writes.transaction(step);
        return;
      case 'sync':
        this.#writes.transactionSync(step);
        return;
      case 'put':
        this.#writes.put(step.tree, step.key, step.value);
        return;
      case 'delete':
        this.#writes.delete(step.tree, step.key);
        return;
      case 'update':
        this.#writes.update(step);
        return;
      case 'burst':
        this.#writes.burst(step);
        return;
      case 'session':
        life.neighbour.session(store, step);
        return;
      case 'fill':
        life.neighbour.fill(store, step);
        return;
      case 'checkpoint':
        life.followCommit('checkpointTo', store.checkpointTo(store.currentBatch), () => undefined);
        return;
      case 'compact':
        compactIn(life, step);
        return;
      case 'verify':
        life.attemptLater(
          'verify',
          () => findingsOf(life.forest),
          (found) => {
            if (found !== undefined && found.length > 0 && !life.isWindow) {
              throw new SimulationFailure(`verify finds: ${found[0]}`);
            }
          },
        );
        return;
      case 'open':
        life.inFlight.openGate(step.gate);
        return;
      case 'settle':
      case 'close':
        return;
      case 'fault':
        life.chaos.arm(step.kind, step.after);
        return;
      case 'cut':
        life.cuts.push({ at: life.operations + step.after, fate: step.fate });
        return;
      default:
        this.#view(step);
        return;
    }
  }

  #view(
    step: Extract<Step, { do: 'snapshot' | 'iterate' | 'guard' | 'release' | 'getAsync' }>,
  ): void {
    const life = this.#life;
    switch (step.do) {
      case 'snapshot':
        this.#views.push(new HeldSnapshot(life.forest.snapshot(), this.#durable()));
        return;
      case 'guard':
        this.#views.push(new HeldGuard(life.forest.store.guard()));
        return;
      case 'release':
        this.#views.splice(Math.floor(step.share * this.#views.length), 1)[0]?.release(life);
        return;
      case 'getAsync':
        this.#getAsync(step.tree, step.key);
        return;
      case 'iterate':
        this.#iterate(step);
        return;
    }
  }

  #durable(): State[] {
    return this.#life.ledger.durable(this.#life.isWindow);
  }

  #iterate(step: Extract<Step, { do: 'iterate' }>): void {
    const life = this.#life;
    const handle = life.trees[step.tree] as Handle;
    const held = this.#views.findLast((view) => view instanceof HeldSnapshot);
    const from = step.held === true ? held : undefined;
    const states = from?.states ?? this.#durable();
    const view = life.attempt('making an iterator', () => {
      const readable = from === undefined ? handle : from.snapshot.tree(handle);
      return step.kind === 'rangeAsync'
        ? new HeldAsyncIterator(readable, step, states)
        : new HeldIterator(readable, step, states);
    });
    if (view === undefined) return;
    this.#views.push(view.value);
    from?.iterators.push(view.value);
  }

  /** Gives the value of a state that was durable between the call and its end. */
  #getAsync(tree: number, key: number): void {
    const life = this.#life;
    const values = new Set<number | undefined>();
    const note = (): void => {
      for (const { trees } of this.#durable()) values.add(trees.get(tree)?.entries.get(key));
    };
    note();
    this.#openReads.add(note);
    const fired = life.chaos.fired;
    const read = () => (life.trees[tree] as Handle).getAsync(key);
    life.attemptLater('getAsync', read, (value) => {
      note();
      this.#openReads.delete(note);
      if (values.has(value) || life.chaos.fired > fired || life.isClosing) return;
      throw new SimulationFailure('getAsync is wrong', `${value}, expected ${[...values]}`);
    });
  }

  /** Compares the present and every held view with the model. */
  look(): void {
    for (const note of this.#openReads) note();
    this.#life.chaos.isLooking = true;
    try {
      for (const view of this.#views) view.look(this.#life);
      this.#lookAtPresent(this.#life.share / 2);
    } finally {
      this.#life.chaos.isLooking = false;
    }
  }

  /** Reads this share of the trees from one end to the other. */
  #lookAtPresent(share: number): void {
    const life = this.#life;
    const { handles, random } = life;
    const states = this.#durable();
    const readable = (handle: Handle): ReadableTree<number, number, number> => handle;
    const present = life.attempt('the present', () =>
      readAll(handles, readable, { random, share }),
    );
    if (present === undefined) return;
    life.compared();
    let fits = fitting('the present', states, (state) => difference(handles, present.value, state));
    const names = life.attempt('names()', () => life.forest.names());
    if (names === undefined) return;
    fits = fitting('names()', fits, (state) => namesDiffer(names.value, state));
    const differs = life.attempt('history', () => fits.map((state) => life.historiesDiffer(state)));
    if (differs === undefined) return;
    const right = fits.filter((_, index) => differs.value[index] === undefined);
    if (right.length === 0) throw new SimulationFailure(`history: ${differs.value[0]}`);
    fits = right;
    if (life.plan.settings.vault !== 'none' && !life.leavesOut('sealed')) {
      for (const state of fits) this.#checkSealed(state);
    }
    const pushed = life.attempt('pushed values', () =>
      fits.map((state) => pushedDiffer((id) => readPushed(life.forest, id), state)),
    );
    if (pushed?.value.every((differs) => differs !== undefined)) {
      throw new SimulationFailure('pushed values are wrong', pushed.value[0]);
    }
  }

  /** A vault covers pushed values too: the store does not have their bytes. */
  #checkSealed({ pushed }: State): void {
    const { store } = this.#life.forest;
    for (const [id, value] of pushed) {
      if (value.length === 0) continue;
      const stored = this.#life.attempt('a sealed value', () => store.get(id));
      if (stored?.value === undefined) continue;
      if (Buffer.compare(stored.value, bytesOf(value)) !== 0) continue;
      throw new SimulationFailure('a pushed value is not sealed by the vault', String(id));
    }
  }

  releaseAll(): void {
    for (const view of this.#views.splice(0)) view.release(this.#life);
  }

  /** Closes with everything in flight, waits for all of it, and opens again. */
  async close(by: 'forest' | 'store'): Promise<void> {
    const life = this.#life;
    const { forest, reached } = life;
    if (life.inFlight.isWriting) reached.note('closed with writes in flight');
    if (life.heldKinds().size > 0) reached.note('closed with views held');
    if (by === 'store') reached.note('store closed under its forest');
    life.isClosing = true;
    const { fired } = life.chaos;
    // The store closes once: whoever closes it again is told the same.
    const told = new Set<unknown>();
    const closed = (what: string, closing: Promise<void>): void => {
      life.follow(
        { name: what, isWrite: false },
        closing,
        () => undefined,
        (error) => {
          if (told.has(error)) return;
          told.add(error);
          if (life.chaos.fired > fired && life.accepts(error)) return;
          const poisoned = (error as { code?: string }).code === 'VARVE_POISONED';
          if (poisoned && life.accepts(error)) return;
          throw new SimulationFailure(`${what} rejects`, String(error), { cause: error });
        },
      );
    };
    if (by === 'store') closed('closing the store', forest.store.close());
    else closed('closing the forest', forest.close());
    await life.settle();
    if (by === 'store' && !life.leavesOut('closed')) {
      closed('closing the forest, whose store was closed,', forest.close());
    }
    await life.settle();
    this.look();
    this.releaseAll();
    await life.settle();
    if (life.ledger.isUncertain || life.neighbour.isUncertain) await settleOnCopy(life);
    await life.open();
    this.lookAtReopened();
  }

  /** A new opening shows the state that is known. */
  lookAtReopened(): void {
    const life = this.#life;
    // A fault that waits is to strike the program, not this.
    life.chaos.pause(true);
    this.#lookAtPresent(1);
    life.chaos.pause(false);
  }
}

/** Everything that a deep `verify` finds. */
export async function findingsOf(forest: Forest): Promise<string[]> {
  const found: string[] = [];
  for await (const { message } of forest.verify({ deep: true })) found.push(message);
  return found;
}
