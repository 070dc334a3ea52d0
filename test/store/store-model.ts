/**
 * A store and the plainest thing that does the same: a Map of values, the batch in which each was
 * archived, a list of guards. Commands are done to both, and both are compared.
 *
 * Invariant: after every command the store says the same as the model: which values there are, what
 * is in them, what is counted, where the checkpoint is. Nothing here knows how a store works.
 */

import fc from 'fast-check';
import { expect } from 'vitest';
import {
  type CheckpointGuard,
  type FileSystem,
  type GrainId,
  memoryFileSystem,
  type Session,
  type StorageFile,
  Store,
  type StoreOptions,
} from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';

const length = fc.oneof(
  { weight: 6, arbitrary: fc.nat(200) },
  { weight: 4, arbitrary: fc.nat(6000) },
  { weight: 2, arbitrary: fc.nat(70_000) },
  { weight: 1, arbitrary: fc.constantFrom(0, 8152, 8153, 1_048_568, 1_200_000) },
);

/** What one session does before it ends. */
const wishes = fc.record({
  push: fc.array(length, { maxLength: 8 }),
  archive: fc.array(fc.nat(), { maxLength: 6 }),
  withdraw: fc.boolean(),
  root: fc.constantFrom('keep', 'keep', 'own', 'committed', 'clear'),
  checkpoint: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 4, nil: undefined }),
});
type Wishes = typeof wishes extends fc.Arbitrary<infer T> ? T : never;

export const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'commit' as const,
        'commit' as const,
        'commit sync' as const,
        'abandon' as const,
      ),
      sessions: fc.array(wishes, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('put' as const), length }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('checkpoint' as const),
      reach: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('guard' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), pick: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('reopen' as const, 'kill' as const) }),
  },
);
export type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

interface ModelValue {
  readonly length: number;
  readonly seed: number;
  readonly batch: number;
  archivedIn: number | undefined;
}

/** A session and what it comes to when it is committed. */
interface OpenSession {
  readonly session: Session;
  readonly pushed: Map<GrainId, Omit<ModelValue, 'batch'>>;
  readonly archived: GrainId[];
  root: GrainId | null | undefined;
  checkpointTo: number;
}

export class StoreModel {
  readonly #memory: FileSystem = memoryFileSystem();
  #file: StorageFile | undefined;
  readonly #options: StoreOptions;
  #store: Store | undefined;
  readonly #values = new Map<GrainId, ModelValue>();
  readonly #guards: CheckpointGuard[] = [];
  #batch = 0;
  #checkpoint = 0;
  #root: GrainId | undefined;
  #seed = 0;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the store is open');
    return this.#store;
  }

  /** Opens the store, which the last process closed, or which it was killed with. */
  async open(closed = true): Promise<void> {
    const fileSystem: FileSystem = {
      open: async (path, options) => {
        this.#file = await this.#memory.open(path, options);
        return this.#file;
      },
    };
    this.#store = await Store.open('store', { ...this.#options, fileSystem });
    const { recovery } = this.#store;
    expect(recovery).toMatchObject({ revertedBatch: undefined, healed: [] });
    if (closed) expect(recovery).toMatchObject({ clean: true, replayedBatches: 0 });
    else if (recovery.replayedBatches > 0) expect(recovery.clean).toBe(false);
  }

  async run(one: Command): Promise<void> {
    const { store } = this;
    switch (one.kind) {
      case 'commit':
        await this.#commitTogether(one.sessions.map((wished) => this.#session(wished)));
        break;
      case 'commit sync':
        for (const wished of one.sessions) {
          const open = this.#session(wished);
          this.#publish([open], open.session.commitSync());
        }
        break;
      case 'abandon':
        for (const { session } of one.sessions.map((wished) => this.#session(wished))) {
          session.abandon();
        }
        break;
      case 'put': {
        const seed = this.#seed++;
        const { id, batch } = await store.put(patternOf(one.length, seed));
        this.#batch += 1;
        expect(batch).toBe(this.#batch);
        this.#values.set(id, { length: one.length, seed, batch, archivedIn: undefined });
        break;
      }
      case 'checkpoint': {
        const target = Math.floor(one.reach * this.#batch);
        const moves = target > this.#checkpoint;
        const batch = await store.checkpointTo(target);
        if (moves) this.#batch += this.#limit(target) > this.#checkpoint ? 1 : 0;
        expect(batch).toBe(this.#batch);
        this.#free(target);
        break;
      }
      case 'guard': {
        const span = this.#batch - this.#checkpoint + 1;
        this.#guards.push(store.guard(this.#checkpoint + (one.pick % span)));
        break;
      }
      case 'release':
        this.#guards.splice(one.pick % Math.max(1, this.#guards.length), 1)[0]?.release();
        break;
      case 'reopen':
        this.#guards.length = 0;
        await store.close();
        await this.open();
        break;
      case 'kill':
        this.#guards.length = 0;
        await this.#file?.close();
        await this.open(false);
        break;
    }
    this.#compare();
  }

  #session({ push, archive, withdraw, root, checkpoint }: Wishes): OpenSession {
    const session = this.store.session();
    const open: OpenSession = {
      session,
      pushed: new Map(),
      archived: [],
      root: undefined,
      checkpointTo: 0,
    };
    for (const pushed of push) {
      const seed = this.#seed++;
      const id = session.push(patternOf(pushed, seed));
      expect(this.#values.has(id)).toBe(false);
      open.pushed.set(id, { length: pushed, seed, archivedIn: undefined });
    }
    const live = [...this.#values].filter(([, value]) => value.archivedIn === undefined);
    for (const pick of archive) {
      const [found] = live.splice(pick % Math.max(1, live.length), 1);
      if (found === undefined) break;
      const [id, value] = found;
      session.archive(id);
      // Claimed: no session opened later may choose it.
      value.archivedIn = Number.POSITIVE_INFINITY;
      open.archived.push(id);
    }
    const own = [...open.pushed.keys()];
    if (withdraw && own.length > 1) {
      session.archive(own[0] as GrainId);
      open.pushed.delete(own[0] as GrainId);
    }
    if (root === 'clear') open.root = null;
    if (root === 'own') open.root = own.at(-1) ?? null;
    if (root === 'committed') open.root = live[0]?.[0] ?? null;
    if (open.root !== undefined) session.setEmbeddedHeader(open.root);
    if (checkpoint !== undefined) {
      open.checkpointTo = Math.floor(checkpoint * this.#batch);
      session.checkpointTo(open.checkpointTo);
    }
    for (const [id, { length: bytes, seed }] of open.pushed) {
      expectSameBytes(session.get(id) as Uint8Array, patternOf(bytes, seed));
    }
    return open;
  }

  async #commitTogether(sessions: readonly OpenSession[]): Promise<void> {
    const batches = await Promise.all(sessions.map(({ session }) => session.commit()));
    this.#publish(sessions, Math.max(...batches));
  }

  /** What is in a batch: nothing where no session had anything to do. */
  #publish(sessions: readonly OpenSession[], batch: number): void {
    const before = this.#checkpoint;
    const busy = sessions.some(
      (open) =>
        open.pushed.size > 0 ||
        open.archived.length > 0 ||
        open.root !== undefined ||
        this.#limit(open.checkpointTo) > before,
    );
    if (busy) this.#batch += 1;
    expect(batch).toBe(this.#batch);
    for (const open of sessions) {
      for (const [id, value] of open.pushed) this.#values.set(id, { ...value, batch });
      for (const id of open.archived) (this.#values.get(id) as ModelValue).archivedIn = batch;
      if (open.root !== undefined) this.#root = open.root ?? undefined;
    }
    for (const { checkpointTo } of sessions) this.#free(checkpointTo);
  }

  #limit(target: number): number {
    return Math.min(target, ...this.#guards.map(({ batch }) => batch));
  }

  #free(target: number): void {
    this.#checkpoint = Math.max(this.#checkpoint, this.#limit(target));
    for (const [id, { archivedIn }] of this.#values) {
      if (archivedIn !== undefined && archivedIn <= this.#checkpoint) this.#values.delete(id);
    }
  }

  /** What costs little: after every command. */
  #compare(): void {
    // An abandoned session has let go of what it claimed.
    for (const value of this.#values.values()) {
      if (value.archivedIn === Number.POSITIVE_INFINITY) value.archivedIn = undefined;
    }
    const { store } = this;
    expect(store.currentBatch).toBe(this.#batch);
    expect(store.checkpoint).toBe(this.#checkpoint);
    expect(store.embeddedHeader).toBe(this.#root);
    const values = [...this.#values.values()];
    const statistics = store.statistics();
    const held = this.#guards.map(({ batch }) => batch);
    expect(statistics).toMatchObject({
      values: values.length,
      archivedValues: values.filter(({ archivedIn }) => archivedIn !== undefined).length,
      valueBytes: values.reduce((sum, value) => sum + value.length, 0),
      oldestGuard: held.length === 0 ? undefined : Math.min(...held),
    });
    const allocated = statistics.strata.reduce(
      (sum, one) => sum + one.allocated * one.grainBytes,
      0,
    );
    expect(allocated).toBeGreaterThanOrEqual(statistics.valueBytes);
    expect(allocated + statistics.freeBytes).toBeLessThanOrEqual(statistics.fileBytes);
  }

  /** Every value, every entry of the retained log, and the store's own verification. */
  async compareAll(): Promise<void> {
    const { store } = this;
    for (const [id, value] of this.#values) {
      expectSameBytes(store.get(id) as Uint8Array, patternOf(value.length, value.seed));
      expect(store.lengthOf(id)).toBe(value.length);
    }
    const allocatedIn = new Map<number, number>();
    let expected = this.#checkpoint;
    for await (const entry of store.commitLog()) {
      expected += 1;
      expect(entry.batch).toBe(expected);
      const made = entry.changes.filter(({ operation }) => operation === 'allocate');
      allocatedIn.set(entry.batch, made.length);
    }
    expect(expected).toBe(this.#batch);
    for (const { batch } of this.#values.values()) {
      if (batch <= this.#checkpoint) continue;
      allocatedIn.set(batch, (allocatedIn.get(batch) as number) - 1);
    }
    for (const rest of allocatedIn.values()) expect(rest).toBeGreaterThanOrEqual(0);
    const findings = [];
    for await (const finding of store.verify({ deep: true })) findings.push(finding);
    expect(findings).toEqual([]);
  }
}
