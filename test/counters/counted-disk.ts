/**
 * A file in memory, and what a store asks of it: syncs, reads, writes and changes of the length,
 * counted, so that tests can say what a commit, a read, an opening costs without looking at a clock.
 *
 * Invariant: counts are of calls as the store made them. It judges nothing.
 */

import { grainExpMin, valuePrefixBytes } from '../../src/format/layout.ts';
import { memoryFileSystem, Store, type StoreOptions } from '../../src/index.ts';
import { type Counts, WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import { contentOf, overwrite, storePath } from '../support/fixtures/store-checks.ts';

const nothing: Counts = {
  syncs: 0,
  reads: 0,
  bytesRead: 0,
  writes: 0,
  regions: 0,
  bytesWritten: 0,
  truncates: 0,
};

/** Some counts, and none of everything else. */
export function only(counts: Partial<Counts>): Counts {
  return { ...nothing, ...counts };
}

/** Bytes of the grains of a value so long: up to 8 KiB they have 32 bytes each. */
export function grainBytes(length: number): number {
  return Math.ceil((length + valuePrefixBytes) / 2 ** grainExpMin) * 2 ** grainExpMin;
}

export class CountedDisk {
  readonly fileSystem = new WrappedFileSystem(memoryFileSystem());

  open(options: StoreOptions = {}): Promise<Store> {
    return Store.open(storePath, { ...options, fileSystem: this.fileSystem });
  }

  /** What `action` costs. */
  async during(action: () => unknown): Promise<Counts> {
    const from = this.fileSystem.calls.length;
    await action();
    return this.fileSystem.countsSince(from);
  }

  /** The reads of `action`: bytes of each, in order. */
  async readsOf(action: () => unknown): Promise<number[]> {
    const from = this.fileSystem.calls.length;
    await action();
    const calls = this.fileSystem.calls.slice(from);
    return calls.filter(({ operation }) => operation === 'read').map(({ bytes }) => bytes);
  }

  /** Another disk with the same file: what is left where the process is killed now. */
  async copy(): Promise<CountedDisk> {
    const copy = new CountedDisk();
    await overwrite(copy.fileSystem.inner, await contentOf(this.fileSystem.inner));
    return copy;
  }
}
