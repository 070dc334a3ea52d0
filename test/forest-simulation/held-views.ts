/**
 * What is held across the changes of a forest: snapshots, iterators, guards.
 *
 * Invariant: a view knows the states that the forest may have had when it was taken, and each look
 * leaves only those that fit what it shows. A view that fits none of them is wrong.
 */

import type { ReadableTree, Snapshot } from '../../src/forest/index.ts';
import type { CheckpointGuard } from '../../src/index.ts';
import type { Random } from '../support/random.ts';
import { inRange, type State } from './model/model-state.ts';
import type { IteratorKind, PlanRange } from './model/plan.ts';
import {
  difference,
  type Handle,
  type Handles,
  pushedDiffer,
  readAll,
  readPushed,
} from './observation.ts';
import { nameOf, SimulationFailure } from './world/failure.ts';
import type { ViewKind } from './world/reached.ts';

/** What a view needs of its life. */
export interface ViewWorld {
  readonly handles: Handles;
  readonly random: Random;
  /** Of the trees of a view that each look reads from one end to the other. */
  readonly share: number;
  /** Reads; undefined where a fault struck the read itself, or the store is closed. */
  attempt<T>(what: string, read: () => T): { readonly value: T } | undefined;
  /** As `attempt`, of an asynchronous read, in the background. */
  attemptLater<T>(what: string, read: () => Promise<T>, then: (value: T | undefined) => void): void;
  compared(): void;
}

export interface HeldView {
  /** As it is counted; undefined for what shows nothing, or nothing any more. */
  readonly kind: ViewKind | undefined;
  /** Throws `SimulationFailure`. */
  look(world: ViewWorld): void;
  release(world: ViewWorld): void;
}

export function fitting(
  what: string,
  states: readonly State[],
  differenceOf: (state: State) => string | undefined,
): State[] {
  const fits = states.filter((state) => differenceOf(state) === undefined);
  if (fits.length > 0) return fits;
  throw new SimulationFailure(`${what} is wrong`, differenceOf(states[0] as State));
}

export class HeldSnapshot implements HeldView {
  readonly kind = 'snapshot';
  readonly snapshot: Snapshot;
  /** They end with it. */
  readonly iterators: HeldView[] = [];
  states: readonly State[];

  constructor(snapshot: Snapshot, states: readonly State[]) {
    this.snapshot = snapshot;
    this.states = states;
  }

  look(world: ViewWorld): void {
    const { handles, random } = world;
    const readable = (handle: Handle): ReadableTree<number, number, number> =>
      this.snapshot.tree(handle);
    const reading = world.attempt('a held snapshot', () =>
      readAll(handles, readable, { random, share: world.share }),
    );
    if (reading === undefined) return;
    world.compared();
    this.states = fitting('a held snapshot', this.states, (state) =>
      difference(handles, reading.value, state),
    );
    const read = (id: Parameters<typeof readPushed>[1]) => readPushed(handles.forest, id);
    const pushed = world.attempt('pushed values of a held snapshot', () =>
      this.states.map((state) => pushedDiffer(read, state)),
    );
    if (pushed === undefined) return;
    const right = this.states.filter((_, at) => pushed.value[at] === undefined);
    if (right.length === 0) {
      throw new SimulationFailure('pushed values of a held snapshot are wrong', pushed.value[0]);
    }
    this.states = right;
  }

  release(world: ViewWorld): void {
    for (const iterator of this.iterators) iterator.release(world);
    this.snapshot.release();
  }
}

/** What an iterator may give from now on. */
class Expected {
  readonly #what: string;
  #rests: readonly (readonly unknown[])[];

  constructor(what: string, rests: readonly (readonly unknown[])[]) {
    this.#what = what;
    this.#rests = rests;
  }

  take({ done, value }: IteratorResult<unknown>): void {
    const shown = (one: unknown): string => (one === undefined ? 'its end' : String(one));
    const found = done === true ? undefined : value;
    const fits = this.#rests.filter(([next]) => shown(next) === shown(found));
    if (fits.length === 0) {
      const detail = `gives ${shown(found)}, expected ${shown(this.#rests[0]?.[0])}`;
      throw new SimulationFailure(`${this.#what} is wrong`, detail);
    }
    this.#rests = fits.map((rest) => rest.slice(1));
  }
}

interface IteratorPlan {
  readonly tree: number;
  readonly kind: IteratorKind;
  readonly range: PlanRange;
}

function expectedOf({ tree, kind, range }: IteratorPlan, states: readonly State[]): Expected {
  const rests = states.map((state) => {
    const entries = inRange(state.trees.get(tree), range);
    if (kind === 'keys') return entries.map(([key]) => key);
    return kind === 'values' ? entries.map(([, value]) => value) : entries;
  });
  return new Expected(`a held ${kind}`, rests);
}

/** An iterator of which each look takes one more. */
export class HeldIterator implements HeldView {
  readonly #iterator: IterableIterator<unknown>;
  readonly #expected: Expected;
  readonly #isReverse: boolean;
  #isOver = false;

  constructor(
    readable: ReadableTree<number, number, number>,
    plan: IteratorPlan,
    states: readonly State[],
  ) {
    const { kind, range } = plan;
    this.#isReverse = range.reverse === true;
    this.#iterator = readable[kind as 'range' | 'keys' | 'values'](range);
    this.#expected = expectedOf(plan, states);
  }

  get kind(): ViewKind | undefined {
    if (this.#isOver) return undefined;
    return this.#isReverse ? 'reverse iterator' : 'iterator';
  }

  look(world: ViewWorld): void {
    if (this.#isOver) return;
    const next = world.attempt('a held iterator', () => this.#iterator.next());
    if (next === undefined) this.#isOver = true;
    else {
      world.compared();
      this.#expected.take(next.value);
      this.#isOver = next.value.done === true;
    }
  }

  /** Reads to the end, or some of it. */
  release(world: ViewWorld): void {
    if (this.#isOver) return;
    for (let left = world.random.chance(0.5) ? 1000 : 3; left > 0 && !this.#isOver; left--) {
      this.look(world);
    }
    this.#isOver = true;
    this.#iterator.return?.();
  }
}

export class HeldAsyncIterator implements HeldView {
  readonly #iterator: AsyncIterableIterator<unknown>;
  readonly #expected: Expected;
  #isWaiting = false;
  #isReleased = false;
  #isOver = false;

  constructor(
    readable: ReadableTree<number, number, number>,
    plan: IteratorPlan,
    states: readonly State[],
  ) {
    this.#iterator = readable.rangeAsync(plan.range);
    this.#expected = expectedOf(plan, states);
  }

  get kind(): ViewKind | undefined {
    return this.#isOver ? undefined : 'async iterator';
  }

  look(world: ViewWorld): void {
    if (this.#isWaiting || this.#isOver) return;
    this.#isWaiting = true;
    const read = (): Promise<IteratorResult<unknown> | undefined> =>
      this.#iterator.next().catch((error: unknown) => {
        if (this.#isReleased && nameOf(error) === 'VARVE_SNAPSHOT_RELEASED') return undefined;
        throw error;
      });
    world.attemptLater('a held rangeAsync', read, (next) => {
      this.#isWaiting = false;
      if (next === undefined || this.#isReleased) this.#isOver = true;
      else {
        world.compared();
        this.#expected.take(next);
        this.#isOver = next.done === true;
      }
    });
  }

  release(world: ViewWorld): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#isOver = true;
    const end = async (): Promise<void> => {
      await this.#iterator.return?.();
    };
    world.attemptLater('return of a rangeAsync', end, () => undefined);
  }
}

export class HeldGuard implements HeldView {
  readonly kind = undefined;
  readonly #guard: CheckpointGuard;

  constructor(guard: CheckpointGuard) {
    this.#guard = guard;
  }

  look(): void {
    // It shows nothing; what it holds back is seen in the snapshots.
  }

  release(): void {
    this.#guard.release();
  }
}
