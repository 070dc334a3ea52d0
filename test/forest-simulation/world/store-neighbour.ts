/**
 * Another user of the store that a forest is in: sessions of its own, values that fill strata so
 * that freed grains are used again at once.
 *
 * Invariant: a value of its own is in `values` exactly while it must be readable and counted.
 */

import type { GrainId, Session, Store } from '../../../src/index.ts';
import { bytesOf, type Pushed } from '../model/model-state.ts';
import type { Step } from '../model/plan.ts';
import { nameOf, SimulationFailure } from './failure.ts';
import type { Reached } from './reached.ts';

const fillBytesMax = 100_000;
/** A shorter value is not told from one that the forest has pushed under the same id since. */
const lengthLeast = 12;

export interface NeighbourWorld {
  nextSeed(): number;
  /** Follows a commit; says whether it was done, or that it is not known. */
  followCommit(
    name: string,
    commit: Promise<unknown>,
    then: (done: boolean | undefined) => void,
  ): void;
  accepts(error: unknown): boolean;
  /** A value has been pushed under this id. */
  given(id: GrainId): void;
  readonly reached: Reached;
}

/** What a session has pushed and archived. */
interface Changes {
  readonly pushed: ReadonlyMap<GrainId, Pushed>;
  readonly archived: ReadonlyMap<GrainId, Pushed>;
}

export class StoreNeighbour {
  readonly values = new Map<GrainId, Pushed>();
  /** Sessions rejected by a store that does not know whether they are there after reopening. */
  readonly #uncertain: Changes[] = [];
  /** Everything that it has ever pushed; a freed id is given again. */
  readonly #pushed = new Map<GrainId, Pushed[]>();
  readonly #world: NeighbourWorld;
  /** Archived by a session that has not committed. */
  readonly #going = new Set<GrainId>();
  /** Where values of a length go, and how many grains each takes. */
  readonly #places = new Map<number, { readonly stratum: number; readonly grains: number }>();

  constructor(world: NeighbourWorld) {
    this.#world = world;
  }

  /** Learns where values of a length go, with a first one; while nothing else commits. */
  learn(store: Store, length: number): void {
    if (this.#places.has(length)) return;
    const before = store.statistics().strata;
    const session = store.session();
    const value = { length: Math.max(length, lengthLeast), seed: this.#world.nextSeed() };
    const id = session.push(bytesOf(value));
    session.commitSync();
    this.values.set(id, value);
    this.#note(id, value);
    const after = store.statistics().strata;
    const grains = after.map((row, at) => row.allocated - (before[at]?.allocated ?? 0));
    const stratum = grains.findIndex((count) => count > 0);
    this.#places.set(length, { stratum, grains: grains[stratum] ?? 1 });
  }

  #note(id: GrainId, value: Pushed): void {
    this.#world.given(id);
    const known = this.#pushed.get(id);
    if (known === undefined) this.#pushed.set(id, [value]);
    else known.push(value);
  }

  fill(store: Store, { length, leave }: Extract<Step, { do: 'fill' }>): void {
    const place = this.#places.get(length);
    const row = store.statistics().strata[place?.stratum ?? -1];
    if (place === undefined || row === undefined) return;
    const fits = Math.floor((row.free - leave) / place.grains);
    const count = Math.min(Math.floor(fillBytesMax / length), fits);
    if (count <= 0) return;
    this.#world.reached.note('stratum filled');
    this.session(store, { push: new Array(count).fill(length), archive: [], end: 'commit' });
  }

  session(
    store: Store,
    { push, archive, end }: Pick<Extract<Step, { do: 'session' }>, 'push' | 'archive' | 'end'>,
  ): void {
    let session: Session | undefined;
    const pushed = new Map<GrainId, Pushed>();
    const archived = new Map<GrainId, Pushed>();
    const changes = { pushed, archived };
    try {
      session = store.session();
      for (const length of push) {
        const value = { length: Math.max(length, lengthLeast), seed: this.#world.nextSeed() };
        const id = session.push(bytesOf(value));
        pushed.set(id, value);
        this.#note(id, value);
      }
      for (const share of archive) {
        const all = [...this.values.keys()].filter((id) => !this.#going.has(id));
        const id = all[Math.floor(share * all.length)];
        if (id === undefined) continue;
        session.archive(id);
        this.#going.add(id);
        archived.set(id, this.values.get(id) as Pushed);
      }
      this.#end(session, end, (done) => this.#over(done, changes));
    } catch (error) {
      session?.abandon();
      this.#over(nameOf(error) === 'VARVE_POISONED' ? undefined : false, changes);
      if (!this.#world.accepts(error)) throw error;
    }
  }

  #end(
    session: Session,
    end: 'commit' | 'commitSync' | 'abandon',
    over: (done: boolean | undefined) => void,
  ): void {
    if (end === 'commit') {
      this.#world.followCommit('a session of another user', session.commit(), over);
      return;
    }
    if (end === 'commitSync') {
      try {
        session.commitSync();
        over(true);
        return;
      } catch (error) {
        if ((error as { code?: string }).code !== 'VARVE_BUSY') throw error;
      }
    }
    session.abandon();
    over(false);
  }

  #over(done: boolean | undefined, changes: Changes): void {
    const { pushed, archived } = changes;
    if (done === undefined) this.#uncertain.push(changes);
    for (const id of archived.keys()) {
      this.#going.delete(id);
      if (done !== false) this.values.delete(id);
    }
    if (done !== true) return;
    for (const [id, value] of pushed) this.values.set(id, value);
  }

  get isUncertain(): boolean {
    return this.#uncertain.length > 0;
  }

  /**
   * A new opening, with all that was archived being freed, decides what is uncertain: the first so
   * many of those sessions are there, each whole.
   */
  settleOn(store: Store): void {
    let isLost = false;
    for (const { pushed, archived } of this.#uncertain.splice(0)) {
      const done = new Set([
        ...[...pushed].map(([id, value]) => isIn(store, id, value)),
        ...[...archived].map(([id, value]) => !isIn(store, id, value)),
      ]);
      if (done.size > 1) throw new SimulationFailure('a failed sync has left a part of a session');
      const isDone = done.has(true);
      if (isDone && isLost) {
        throw new SimulationFailure('a failed sync has lost a session before one that is there');
      }
      isLost ||= done.has(false);
      const word = isDone ? 'kept' : 'lost';
      if (done.size > 0) this.#world.reached.note(`session of a failed batch ${word}`);
      for (const [id, value] of isDone ? pushed : archived) this.values.set(id, value);
    }
  }

  /** How many of the values that it has ever pushed a store holds, all archived ones being freed. */
  countIn(store: Store): number {
    let count = 0;
    for (const [id, all] of this.#pushed) {
      if (all.some((value) => isIn(store, id, value))) count += 1;
    }
    return count;
  }

  /** Throws where a value is not as it was pushed. */
  check(store: Store): void {
    for (const [id, value] of this.values) {
      if (isIn(store, id, value)) continue;
      const what = store.has(id) ? 'has other bytes' : 'is not there';
      throw new SimulationFailure(`a value of another user of the store ${what}`, String(id));
    }
  }
}

function isIn(store: Store, id: GrainId, value: Pushed): boolean {
  const found = store.get(id);
  return found !== undefined && Buffer.compare(found, bytesOf(value)) === 0;
}
