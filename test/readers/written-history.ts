/**
 * A writer whose whole history is known: for each batch, which values there were and what was in
 * them; and a file system through which it commits between any two reads of a reader.
 *
 * Invariant: what it does next follows from the seed alone. Every step is synchronous, so that it
 * fits between two synchronous reads. It knows nothing of how a reader works.
 */

import type { FileSystem, GrainId, Store } from '../../src/index.ts';
import { memoryFileSystem } from '../../src/index.ts';
import { defaultLimits } from '../../src/store/grains/atlas.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { openStore } from '../../src/store/store.ts';
import { patternOf } from '../support/bytes.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import { Random } from '../support/random.ts';

export const historyPath = 'history';

/** It moves maps most of the time. */
const compactsFrom = { bytes: 0, share: 0.05 };

/** What one batch left. */
export interface KnownBatch {
  readonly values: ReadonlyMap<GrainId, Uint8Array>;
  readonly changes: readonly string[];
  readonly checkpoint: number;
}

/** How the writer behaves. */
export interface WriterHabits {
  readonly seed: number;
  /** Bytes of log after which it settles. */
  readonly settleBytes: number;
  /** False: it never moves the checkpoint, so that nothing is freed. */
  readonly frees: boolean;
}

export class WrittenHistory {
  readonly files: FileSystem;
  readonly batches: KnownBatch[] = [{ values: new Map(), changes: [], checkpoint: 0 }];
  readonly random: Random;
  readonly #habits: WriterHabits;
  #writer: Store;
  /** Values that were archived, with the batch that did. */
  readonly #archived = new Map<GrainId, number>();
  /** Every free so far: the batch and the value. */
  readonly frees: { readonly batch: number; readonly id: GrainId }[] = [];
  #pushes = 0;
  /** Times that the writer was closed and opened again. */
  reopens = 0;

  private constructor(files: FileSystem, writer: Store, habits: WriterHabits) {
    this.files = files;
    this.#writer = writer;
    this.#habits = habits;
    this.random = new Random(habits.seed);
  }

  static async begin(habits: WriterHabits): Promise<WrittenHistory> {
    const files = memoryFileSystem();
    return new WrittenHistory(files, await openWriter(files, habits), habits);
  }

  get currentBatch(): number {
    return this.batches.length - 1;
  }

  get checkpoint(): number {
    return this.batches.at(-1)?.checkpoint ?? 0;
  }

  batch(number: number): KnownBatch {
    const known = this.batches[number];
    if (known === undefined) throw new Error(`the history has no batch ${number}`);
    return known;
  }

  /** Whether a batch after `batch` has freed the value that it has under this id. */
  isFreedAfter(batch: number, id: GrainId): boolean {
    return this.frees.some((free) => free.batch > batch && free.id === id);
  }

  /** Every id that any batch had. */
  allIds(): GrainId[] {
    return [...new Set(this.batches.flatMap(({ values }) => [...values.keys()]))];
  }

  commits(count: number): void {
    for (let done = 0; done < count; done++) this.commit();
  }

  /** One batch: some values pushed, some archived, the checkpoint moved on. */
  commit(): void {
    const { random } = this;
    const session = this.#writer.session();
    const values = new Map(this.batches.at(-1)?.values);
    const changes: string[] = [];
    const batch = this.currentBatch + 1;
    const live = [...values.keys()].filter((id) => !this.#archived.has(id));
    for (const id of live) {
      if (!random.chance(Math.max(0.15, 1 - 40 / live.length))) continue;
      session.archive(id);
      this.#archived.set(id, batch);
      changes.push(`archive ${id}`);
    }
    for (let pushes = random.below(6); pushes >= 0; pushes--) {
      this.#pushes += 1;
      const bytes = patternOf(this.#length(), this.#pushes);
      const id = session.push(bytes);
      values.set(id, bytes);
      changes.push(`allocate ${id}`);
    }
    let { checkpoint } = this;
    if (this.#habits.frees && random.chance(0.7)) {
      checkpoint = Math.max(checkpoint, batch - 1 - random.below(3));
      session.checkpointTo(checkpoint);
    }
    for (const [id, archivedIn] of [...this.#archived]) {
      if (archivedIn > checkpoint) continue;
      this.#archived.delete(id);
      values.delete(id);
      this.frees.push({ batch, id });
      changes.push(`free ${id}`);
    }
    session.commitSync();
    this.batches.push({ values, changes, checkpoint });
  }

  #length(): number {
    const { random } = this;
    const kind = random.below(20);
    if (kind < 14) return random.below(120);
    if (kind < 18) return random.below(9000);
    return kind === 18 && random.chance(0.3) ? 66_000 + random.below(9000) : 9000;
  }

  /** Closes the writer and opens it again. */
  async reopen(): Promise<void> {
    await this.#writer.close();
    this.reopens += 1;
    this.#writer = await openWriter(this.files, this.#habits);
  }

  async close(): Promise<void> {
    await this.#writer.close();
  }
}

async function openWriter(fileSystem: FileSystem, { settleBytes }: WriterHabits): Promise<Store> {
  const limits = { ...defaultLimits, mapBytesMin: 8192, compactsFrom };
  const options = { fileSystem, settleBytes, compaction: 'automatic' as const };
  return await openStore(checkOptions(historyPath, options, limits));
}

/** A file system for readers: before each read it may do something else; `read` counts from 0. */
export function readsBetween(
  inner: FileSystem,
  before: (read: number) => void,
): WrappedFileSystem & { readonly reads: number } {
  const files = Object.assign(new WrappedFileSystem(inner), { reads: 0 });
  files.before = ({ operation }) => {
    if (operation === 'open' || operation === 'close') return;
    if (operation !== 'read') throw new Error('a reader wrote');
    files.reads += 1;
    before(files.reads - 1);
  };
  return files;
}
