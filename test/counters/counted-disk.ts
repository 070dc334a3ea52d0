/**
 * A file in memory, and what a store asks of it: syncs, reads, writes and changes of the length,
 * counted, so that tests can say what a commit, a read, an opening costs without looking at a clock.
 *
 * Invariant: counts are of calls as the store made them. A region is what has to be written in one
 * place between two syncs: writes that adjoin there are one. It judges nothing.
 */

import { grainExpMin, valuePrefixBytes } from '../../src/format/layout.ts';
import { memoryFileSystem, Store, type StoreOptions } from '../../src/index.ts';
import { type FileCall, WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import { contentOf, overwrite, storePath } from '../support/fixtures/store-checks.ts';

export interface Counts {
  readonly syncs: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly writes: number;
  readonly regions: number;
  readonly bytesWritten: number;
  readonly truncates: number;
}

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
    return countsOf(this.fileSystem.calls.slice(from));
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

function countsOf(calls: readonly FileCall[]): Counts {
  const of = (wanted: string): FileCall[] => calls.filter(({ operation }) => operation === wanted);
  const reads = of('read');
  const writes = of('write');
  return {
    syncs: of('datasync').length,
    reads: reads.length,
    bytesRead: bytesOf(reads),
    writes: writes.length,
    regions: regionsOf(calls),
    bytesWritten: bytesOf(writes),
    truncates: of('truncate').length,
  };
}

function bytesOf(calls: readonly FileCall[]): number {
  return calls.reduce((sum, { bytes }) => sum + bytes, 0);
}

function regionsOf(calls: readonly FileCall[]): number {
  let regions = 0;
  let unsynced: FileCall[] = [];
  const end = (): void => {
    unsynced.sort((one, other) => one.position - other.position);
    let reached = -1;
    for (const { position, bytes } of unsynced) {
      if (position > reached) regions += 1;
      reached = Math.max(reached, position + bytes);
    }
    unsynced = [];
  };
  for (const call of calls) {
    if (call.operation === 'write') unsynced.push(call);
    else if (call.operation === 'datasync') end();
  }
  end();
  return regions;
}
