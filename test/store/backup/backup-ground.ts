/**
 * A store that changes at random, a plain model of it for each batch, and the comparison of a copy
 * with the model of its batch.
 *
 * Invariant: the model knows nothing of how varve works. The same seed gives the same operations.
 * What the store itself does with an operation decides only the ids.
 */

import { expect } from 'vitest';
import { type FileSystem, GrainId, memoryFileSystem, type Store } from '../../../src/index.ts';
import { type AtlasLimits, defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { Random } from '../../support/random.ts';

export const sourcePath = 'source';
export const copyPath = 'copy';
export const partialPath = 'copy.partial';

/** The content of a batch: live values, and the embedded header. */
interface Content {
  readonly live: ReadonlyMap<GrainId, Uint8Array>;
  readonly header: GrainId | undefined;
}

export interface GroundSettings {
  readonly seed: number;
  readonly limits?: Partial<AtlasLimits>;
  /** Lengths of values, one at a time. */
  readonly lengths: readonly number[];
  readonly settleBytes?: number;
  /** Whether commits also move the checkpoint. Default true. */
  readonly checkpoints?: boolean;
  readonly fileSystem?: FileSystem;
}

export class BackupGround {
  readonly disk: WrappedFileSystem;
  readonly random: Random;
  readonly contents: Content[] = [{ live: new Map(), header: undefined }];
  /** Every id that any batch has used. */
  readonly ids = new Set<GrainId>();
  readonly #settings: GroundSettings;
  #store: Store | undefined;

  constructor(settings: GroundSettings) {
    this.#settings = settings;
    this.random = new Random(settings.seed);
    this.disk = new WrappedFileSystem(settings.fileSystem ?? memoryFileSystem());
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  async open(): Promise<Store> {
    const { settleBytes = 3000, limits } = this.#settings;
    const options = { fileSystem: this.disk, settleBytes };
    const request = checkOptions(sourcePath, options, { ...defaultLimits, ...limits });
    this.#store = await openStore(request);
    return this.#store;
  }

  /** The store beside itself, read-only. */
  async openReader(): Promise<Store> {
    const options = { fileSystem: this.disk, readOnly: true };
    const { limits } = this.#settings;
    return await openStore(checkOptions(sourcePath, options, { ...defaultLimits, ...limits }));
  }

  /** One commit of some pushes and archives, now and then with a checkpoint or a header. */
  commit(operations = 12): void {
    const { random, store } = this;
    const before = this.contents.at(-1) as Content;
    const live = new Map(before.live);
    let { header } = before;
    const session = store.session();
    for (let at = 0; at < operations; at++) {
      const ids = [...before.live.keys()].filter((id) => live.has(id) && id !== header);
      if (random.chance(0.45) && ids.length > 10) {
        const id = ids[random.below(ids.length)] as GrainId;
        session.archive(id);
        live.delete(id);
      } else {
        const { lengths } = this.#settings;
        const length = lengths[random.below(lengths.length)] as number;
        const bytes = new Uint8Array(length).fill(random.below(256));
        const id = session.push(bytes);
        live.set(id, bytes);
        this.ids.add(id);
      }
    }
    if (random.chance(0.2)) {
      const ids = [...live.keys()];
      header = ids[random.below(ids.length)] as GrainId;
      session.setEmbeddedHeader(header);
    }
    const checkpoints = this.#settings.checkpoints ?? true;
    if (checkpoints && random.chance(0.4)) session.checkpointTo(store.currentBatch);
    const batch = session.commitSync();
    this.contents[batch] = { live, header };
  }

  /** From now on some calls of either file system come with a commit of the store. */
  commitAtCalls(chance: number, operations = 4): () => number {
    let commits = 0;
    let isCommitting = false;
    this.disk.before = () => {
      if (isCommitting || !this.random.chance(chance)) return;
      isCommitting = true;
      try {
        if (!this.store.committing) this.commit(operations);
        commits += 1;
      } finally {
        isCommitting = false;
      }
    };
    return () => {
      this.disk.before = undefined;
      return commits;
    };
  }

  /** From now on the store commits in each turn of the event loop. */
  commitInTurns(operations = 4): () => number {
    let commits = 0;
    let isOver = false;
    const turn = (): void => {
      if (isOver) return;
      if (!this.store.committing) this.commit(operations);
      commits += 1;
      setImmediate(turn);
    };
    setImmediate(turn);
    return () => {
      isOver = true;
      return commits;
    };
  }

  /** Opens the copy and compares it with the content of the batch; then it is used and reopened. */
  async expectCopy(batch: number, values: number, path = copyPath): Promise<void> {
    const { live, header } = this.contents[batch] as Content;
    expect(values).toBe(live.size);
    const { limits } = this.#settings;
    const options = { fileSystem: this.disk, create: false };
    const request = checkOptions(path, options, { ...defaultLimits, ...limits });
    const copy = await openStore(request);
    expect(copy.recovery).toEqual({
      clean: true,
      revertedBatch: undefined,
      replayedBatches: 0,
      healed: [],
    });
    expect(copy.currentBatch).toBe(batch);
    expect(copy.checkpoint).toBe(batch);
    expect(copy.embeddedHeader).toBe(header);
    await expectContent(copy, this.ids, live);
    for await (const entry of copy.commitLog()) throw new Error(`an entry of ${entry.batch}`);
    const session = copy.session();
    const bytes = new Uint8Array(777).fill(7);
    const added = Array.from({ length: 5 }, () => session.push(bytes));
    for (const id of added) expect(live.has(id)).toBe(false);
    const archived = [...live.keys()].find((id) => id !== header);
    if (archived !== undefined) session.archive(archived);
    await copy.checkpointTo(await session.commit());
    await copy.close();
    const again = await openStore(request);
    const after = new Map(live);
    for (const id of added) after.set(id, bytes);
    if (archived !== undefined) after.delete(archived);
    await expectContent(again, this.ids, after);
    await again.close();
  }
}

/** The store has these live values, none of the others, and is sound. */
async function expectContent(
  store: Store,
  ids: ReadonlySet<GrainId>,
  live: ReadonlyMap<GrainId, Uint8Array>,
): Promise<void> {
  for (const [id, bytes] of live) {
    const found = store.get(id);
    if (found === undefined || Buffer.compare(found, bytes) !== 0) {
      throw new Error(`${GrainId.format(id)} of ${bytes.length} bytes is ${found?.length}`);
    }
  }
  for (const id of ids) if (!live.has(id)) expect(store.has(id)).toBe(false);
  const { values, archivedValues, valueBytes } = store.statistics();
  const bytes = [...live.values()].reduce((sum, { length }) => sum + length, 0);
  expect({ values, archivedValues, valueBytes }).toEqual({
    values: live.size,
    archivedValues: 0,
    valueBytes: bytes,
  });
  for await (const { message } of store.verify({ deep: true })) throw new Error(message);
}
