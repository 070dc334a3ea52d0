/**
 * The journal: changes that are durable in roots and that no stored node has yet. A commit logs its
 * changes instead of writing nodes if that is much smaller; later commits write the nodes of many,
 * each a share.
 *
 * The changes are in one generation, or in two while an earlier state is being written: those of
 * the frozen state, and those after it.
 *
 * Invariant: it has changes of durable commits only. The stored trees stay complete until a state
 * is written whole. Replaced nodes and values are listed here until then; the commits after the one
 * that names the state archive them. It decides and counts; it writes nothing.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId } from '../../index.ts';
import { assert, present } from '../../util/assert.ts';
import type { NodeRef, TreeRoot } from '../nodes/node.ts';
import type { NodeSource } from '../nodes/node-store.ts';
import type { Garbage } from '../trees/garbage.ts';
import type { ForestRoot, RootLink, TreeChanges } from './forest-root.ts';
import { FrozenState, type FrozenTrees } from './frozen-state.ts';
import { Generation, type LoggedChanges } from './generation.ts';
import {
  type Added,
  JournalBounds,
  type JournalLimits,
  type MeasuredStore,
  rootsMax,
} from './journal-bounds.ts';

/** A state is written whole once the next generation has taken this part of its room. */
const writtenAt = 0.9;
/** A commit that takes more of a generation's room is large: nodes are written at once. */
const addedMax = 1 / 8;

/** Values that nothing reaches any more are archived by at most 16 commits. */
const archivingCommits = 16;
/** They are archived by the time that a generation has taken this part of its room. */
const archivedAt = 1 / 4;
/** A commit archives at least this number of them. */
const archivedMin = 64;

/** The changes of a commit, and whether they can be logged. */
export interface JournalEntry extends LoggedChanges {
  /** The logs lack some changes, or nodes were pushed already. */
  readonly needsNodes: boolean;
}

/** How a commit keeps its changes. */
export interface RootPlan {
  /** The root logs the changes. Otherwise the commit pushes all nodes that are not stored. */
  readonly isLogged: boolean;
  /** The state that a commit that logs its changes writes a share of. */
  readonly frozen: FrozenState | undefined;
  /** The part of that state that is written with this commit. */
  readonly part: number;
  /** Number of the values that nothing reaches that the commit archives. */
  readonly archived: number;
  /** Bytes in the file of the values that the commit replaces. */
  readonly valueBytes: number;
}

/** The part of a frozen state that a commit wrote. */
export interface Share {
  /** Number of the state's nodes that are durable with this commit. */
  readonly count: number;
  readonly written: readonly GrainId[];
  /** All of them are: the root names the state. */
  readonly isWhole: boolean;
}

export interface StoredRoots {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
}

/** Stored things that no tree of the current state reaches and that are not archived yet. */
export interface WaitingThings {
  readonly nodes: readonly NodeRef[];
  readonly values: readonly GrainId[];
}

const none: readonly GrainId[] = [];

type Lengths = Pick<NodeSource, 'lengthOf'>;

/** The figures of the store that decide. Archived values count until they are freed. */
interface JournalStore extends MeasuredStore {
  readonly embeddedHeader: GrainId | undefined;
}

/** The journal as an open finds it. */
export interface FoundJournal {
  readonly stored: StoredRoots;
  /** Oldest first. */
  readonly roots: readonly RootLink[];
  readonly changes: readonly TreeChanges[];
  readonly garbage: Garbage;
  /** Changes that could not be replayed. */
  readonly kept: readonly TreeChanges[];
}

/** The facts of a new root that the journal knows. */
type RootFacts = Pick<ForestRoot, 'written' | 'depth' | 'earlier' | 'listed' | 'changes'>;

export class Journal {
  /** The stored catalog and shares, which the logged changes start from. */
  stored: StoredRoots;
  /** Changes of trees that cannot be read: every root that drops earlier ones repeats them. */
  readonly kept: readonly TreeChanges[];
  /** The root that named `stored`, or the first one after that state, and all later ones. */
  readonly #roots: RootLink[];
  /** The state that is being written. */
  #frozen: FrozenState | undefined;
  /** The changes after the frozen state. Without one: all. */
  #current = new Generation();
  /** The newest roots whose lists of written nodes count. */
  #listed = 0;
  /** Values of before `stored` that commits have yet to archive: the newest root lists them. */
  #unreached: readonly GrainId[] = [];
  /** Their number when the stored state was named. */
  #unreachedAtFirst = 0;
  readonly #bounds: JournalBounds;
  readonly #store: JournalStore;
  readonly #source: Lengths;

  constructor(found: FoundJournal, limits: JournalLimits, store: JournalStore, source: Lengths) {
    this.stored = found.stored;
    this.#roots = [...found.roots];
    this.kept = found.kept;
    this.#bounds = new JournalBounds(limits, store);
    this.#store = store;
    this.#source = source;
    this.#current.found({
      changes: found.changes,
      garbage: found.garbage,
      roots: Math.max(0, this.#roots.length - 1),
      valueBytes: this.#bytesOf(found.garbage.values),
    });
  }

  /** Bytes of these values in the file. A value that is missing or unreadable counts 0. */
  #bytesOf(ids: readonly GrainId[]): number {
    let bytes = 0;
    for (const id of ids) {
      try {
        bytes += this.#source.lengthOf(id) ?? 0;
      } catch (error) {
        // An estimate only: archiving the value reports the error.
        if (!isVarveError(error)) throw error;
      }
    }
    return bytes;
  }

  get #generations(): readonly Generation[] {
    const frozen = this.#frozen;
    return frozen === undefined ? [this.#current] : [frozen.generation, this.#current];
  }

  /** Stored nodes have all changes, except `kept`, and nothing has to be archived. */
  get isEmpty(): boolean {
    const isStored = this.#generations.every(({ trees }) => trees.size === 0);
    return isStored && this.#unreached.length === 0;
  }

  /** Trees whose current record is not in the stored catalog. */
  get trees(): ReadonlySet<string> {
    if (this.#frozen === undefined) return this.#current.trees;
    return new Set(this.#generations.flatMap(({ trees }) => [...trees]));
  }

  /** Stored nodes and values that the current state does not reach, and some never stored. */
  get garbage(): readonly Garbage[] {
    return this.#generations.map(({ garbage }) => garbage);
  }

  // ── planning ──

  /**
   * Decides whether the commit logs its changes or writes nodes, and what it writes of an earlier
   * state. `now` gives the durable state. Requires: none is in flight.
   */
  plan(entry: JournalEntry, now: (trees: ReadonlySet<string>) => FrozenTrees): RootPlan {
    if (!this.#isOpenTo(entry)) return this.#flush();
    const added = this.#addedBy(entry);
    const bounds = this.#bounds;
    const fill = bounds.fill(this.#current, added, this.#frozen?.generation);
    const isFirst = this.#frozen === undefined;
    const { valueBytes } = added;
    if (isFirst && fill <= 1 && !this.hasUnreached) {
      return { isLogged: true, frozen: undefined, part: 0, archived: 0, valueBytes };
    }
    const alone = bounds.fill(undefined, added);
    const archived = this.#archivedWith(alone);
    const log = { isLogged: true, frozen: undefined, part: 0, archived, valueBytes };
    if (isFirst && fill <= 1) return log;
    if (alone > addedMax) {
      return isFirst && bounds.fillOfAll(this.#current, added) <= 1 ? log : this.#flush();
    }
    const frozen = this.#frozen ?? new FrozenState(this.#current, now(this.#current.trees));
    const taken = isFirst ? bounds.fill(undefined, added, this.#current) : fill;
    return { ...log, frozen, part: taken / writtenAt };
  }

  /** The commit writes all nodes. */
  #flush(): RootPlan {
    const archived = this.#unreached.length;
    return { isLogged: false, frozen: undefined, part: 0, archived, valueBytes: 0 };
  }

  /** Number of unreached values that a commit archives. `part`: of a generation's room. */
  #archivedWith(part: number): number {
    const share = Math.max(1 / archivingCommits, part / archivedAt);
    return Math.max(archivedMin, Math.ceil(this.#unreachedAtFirst * Math.min(1, share)));
  }

  /** Its logs have all of its changes, and they are much smaller than its nodes. */
  #isOpenTo({ needsNodes, logBytes, garbage }: JournalEntry): boolean {
    const { length } = this.#roots;
    if (needsNodes || length === 0 || length >= rootsMax || !this.isHeader) return false;
    const bounds = this.#bounds;
    if (bounds.limits.logBytes === 0 || !bounds.measure(this.#unreached.length)) return false;
    // With ascending keys few nodes are replaced: writing them costs hardly more than the log.
    return logBytes <= garbage.bytes;
  }

  #addedBy({ logBytes, changes, garbage }: JournalEntry): Added {
    let storedNodes = 0;
    for (const ref of garbage.nodes) if (this.#isKept(ref)) storedNodes += 1;
    const valueBytes = this.#bytesOf(garbage.values);
    return { logBytes, changes, garbage, storedNodes, valueBytes };
  }

  /** The node is stored, or will be. */
  #isKept(ref: NodeRef): boolean {
    return ref.stored || this.#frozen?.awaits(ref) === true;
  }

  /** The store's embedded header still names the newest root: no other user has replaced it. */
  get isHeader(): boolean {
    return this.#roots.at(-1)?.id === this.#store.embeddedHeader;
  }

  // ── facts for a root ──

  /** `share`: what the commit writes of a frozen state; none if it writes all nodes. */
  rootOf(entry: JournalEntry, { isLogged, frozen }: RootPlan, share: Share | undefined): RootFacts {
    const { kept } = this;
    if (!isLogged) {
      return { written: none, depth: 0, earlier: undefined, listed: 0, changes: kept };
    }
    const isWhole = share?.isWhole === true;
    const depth = this.#roots.length - (isWhole ? this.#rootsOf(frozen as FrozenState) : 0);
    const earlier = depth === 0 ? undefined : this.#roots.at(-1);
    if (isWhole) {
      return { written: none, depth, earlier, listed: 0, changes: [...kept, ...entry.logs] };
    }
    const written = share?.written ?? none;
    return { written, depth, earlier, listed: this.#listed, changes: entry.logs };
  }

  /** Number of the oldest roots that log only changes of this state. */
  #rootsOf(frozen: FrozenState): number {
    // A state that is frozen by this commit has all roots.
    return this.#roots.length - (frozen === this.#frozen ? this.#current.roots : 0);
  }

  /** The roots that a commit that writes all nodes archives. */
  get replacedRoots(): readonly GrainId[] {
    const ids = this.#roots.map(({ id }) => id);
    if (this.isHeader) return ids;
    // Another user replaced the newest root in the embedded header and archived it: archive that
    // user's value instead.
    const { embeddedHeader } = this.#store;
    const own = ids.slice(0, -1);
    return embeddedHeader === undefined ? own : [...own, embeddedHeader];
  }

  /** The roots and values that nothing reaches once a root names this state. */
  unreachedAfter(frozen: FrozenState): GrainId[] {
    const ids = this.#roots.slice(0, this.#rootsOf(frozen)).map(({ id }) => id);
    const { nodes, values } = frozen.generation.garbage;
    for (const ref of nodes) if (ref.stored) ids.push(ref.id);
    for (const id of values) ids.push(id);
    return ids;
  }

  /** Commits have yet to archive values of before `stored`. */
  get hasUnreached(): boolean {
    return this.#unreached.length > 0;
  }

  /** The unreached values that the commit archives, and those that it leaves. */
  unreached({ archived }: RootPlan): { now: readonly GrainId[]; later: readonly GrainId[] } {
    return { now: this.#unreached.slice(0, archived), later: this.#unreached.slice(archived) };
  }

  // ── figures ──

  /** Bytes of all logs. */
  get allBytes(): number {
    let bytes = 0;
    for (const generation of this.#generations) bytes += generation.bytes;
    for (const { log } of this.kept) bytes += log.length;
    return bytes;
  }

  /** Approximate bytes of memory of nodes that are not stored, and of logs. */
  get memoryBytes(): number {
    const frozen = this.#frozen?.generation.memoryBytes ?? 0;
    return this.#current.memoryBytes + frozen;
  }

  /** Number of values in the store that the current state does not reach, without its own root. */
  get waitingValues(): number {
    let count = Math.max(0, this.#roots.length - 1) + this.#unreached.length;
    for (const { nodes, values } of this.garbage) {
      for (const ref of nodes) if (ref.stored) count += 1;
      count += values.length;
    }
    return count;
  }

  /** The same values, and its own root. Some nodes may never have been stored. */
  get waiting(): WaitingThings {
    const nodes = this.garbage.flatMap((garbage) => garbage.nodes);
    const values = [
      ...this.#roots.map(({ id }) => id),
      ...this.#unreached,
      ...this.garbage.flatMap((garbage) => garbage.values),
    ];
    return { nodes, values };
  }

  // ── durable commits ──

  /**
   * A commit that logged its changes in this root is durable. `share`: what it wrote of a frozen
   * state.
   */
  logged(entry: JournalEntry, plan: RootPlan, root: RootLink, share: Share | undefined): void {
    if (this.hasUnreached) this.#unreached = this.unreached(plan).later;
    if (plan.frozen !== undefined && plan.frozen !== this.#frozen) {
      assert(this.#frozen === undefined, 'one state is written at a time');
      this.#frozen = plan.frozen;
      this.#current = new Generation();
    }
    this.#roots.push(root);
    this.#current.logged(entry, (ref) => this.#isKept(ref), plan.valueBytes);
    const lists = share !== undefined && share.written.length > 0;
    if (lists || this.#listed > 0) this.#listed += 1;
  }

  /**
   * The commit that was logged last also wrote the rest of the frozen state. `unreached`: what it
   * leaves to be archived.
   */
  finished(stored: StoredRoots, unreached: readonly GrainId[]): void {
    const frozen = present(this.#frozen, 'the state that was written');
    this.#roots.splice(0, this.#rootsOf(frozen));
    this.#frozen = undefined;
    this.#unreached = unreached;
    this.#unreachedAtFirst = unreached.length;
    this.#startFrom(stored);
  }

  /** A commit that wrote all nodes is durable. */
  flushed(stored: StoredRoots, root: RootLink): void {
    this.#roots.splice(0, this.#roots.length, root);
    this.#frozen = undefined;
    this.#current = new Generation();
    this.#unreached = [];
    this.#startFrom(stored);
  }

  #startFrom({ catalog, shares }: StoredRoots): void {
    const isStored = catalog.ref?.stored !== false && shares.ref?.stored !== false;
    assert(isStored, 'stored roots are stored');
    this.stored = { catalog, shares };
    this.#listed = 0;
    this.#bounds.forget();
  }
}
