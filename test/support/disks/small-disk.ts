/**
 * The capacity of a simulated disk: which of its operations it refuses with ENOSPC.
 *
 * Two kinds of file system: one where the length of the file counts, so that a truncate is refused
 * too; and one with sparse files, where only pages count that have been written, so that a write
 * into the midst of the file may be refused. It refuses an operation whole, or lets some of its
 * first sectors be done.
 */

import { pageBytes } from '../../../src/format/layout.ts';
import type { DiskOperation, Fault } from './disk-faults.ts';

export type Capacity = 'length' | 'sparse';

const full: Fault = { kind: 'error', code: 'ENOSPC', done: 'nothing' };

export class SmallDisk {
  /** Pages that it has; a test may give it more, or take some away. */
  pages: number;
  refusals = 0;
  readonly #kind: Capacity;
  readonly #written = new Set<number>();

  constructor(pages: number, kind: Capacity) {
    this.pages = pages;
    this.#kind = kind;
  }

  /** Pages of a sparse file that have been written. */
  get writtenPages(): number {
    return this.#written.size;
  }

  hasWritten(page: number): boolean {
    return this.#written.has(page);
  }

  /** For `SimulatedDisk.faultOf`. */
  faultOf(operation: DiskOperation): Fault | undefined {
    if (operation.kind === 'datasync') return undefined;
    const fault =
      this.#kind === 'length' ? this.#beyondLength(operation) : this.#beyondPages(operation);
    if (fault !== undefined) this.refusals += 1;
    return fault;
  }

  #beyondLength({ position, bytes }: DiskOperation): Fault | undefined {
    return position + bytes > this.pages * pageBytes ? full : undefined;
  }

  #beyondPages({ kind, position, bytes }: DiskOperation): Fault | undefined {
    const first = Math.floor(position / pageBytes);
    const end = Math.ceil((position + bytes) / pageBytes);
    if (kind === 'truncate') {
      for (const page of this.#written) if (page >= end) this.#written.delete(page);
      return undefined;
    }
    const fresh: number[] = [];
    for (let page = first; page < end; page++) if (!this.#written.has(page)) fresh.push(page);
    if (this.#written.size + fresh.length > this.pages) return full;
    for (const page of fresh) this.#written.add(page);
    return undefined;
  }
}
