/**
 * A disk of sectors behind a page cache, and everything that can go wrong with it.
 *
 * Reads see the cache. Of what was written since the last completed sync any part, sector by
 * sector, may be on the disk after a power cut. After a failed sync the same holds, and the cache
 * takes what it shows for clean: a sector that never reached the disk ("ghost") may stay visible
 * until it is evicted, or be written after all when something else in its page is.
 */

import { pageOf, type Sector, type Write } from './sectors.ts';

export type WriteFault = 'none' | 'cut' | 'kill' | 'error';
export type SyncFault = 'none' | 'cut' | 'kill' | 'error';

/** Decides what goes wrong, and how badly. */
export interface Faults {
  onWrite(write: Write): WriteFault;
  onSync(): SyncFault;
  /** Whether a write that reported an error reached the cache all the same. */
  failedWriteLands(write: Write): boolean;
  /** Called once for each cut or failed sync: which unsynced writes are on the disk. */
  survivors(): (write: Write) => boolean;
  /** Whether the cache drops a sector that the disk does not have. */
  evicts(place: string): boolean;
}

export const noFaults: Faults = {
  onWrite: () => 'none',
  onSync: () => 'none',
  failedWriteLands: () => false,
  survivors: () => () => true,
  evicts: () => false,
};

/** The process is gone: by a power cut (the cache too), or killed (the cache stays). */
export class Crash extends Error {
  readonly kind: 'cut' | 'kill';

  constructor(kind: 'cut' | 'kill') {
    super(kind);
    this.kind = kind;
  }
}

/** EIO or ENOSPC, from a write or a sync. The process goes on. */
export class DiskError extends Error {}

export class Disk {
  faults: Faults = noFaults;
  writeCount = 0;
  readonly #durable = new Map<string, Sector>();
  #cached = new Map<string, Sector>();
  #unsynced: Write[] = [];
  /** Places where the cache shows, as clean, what the disk does not have. */
  readonly #ghosts = new Set<string>();

  read(place: string): Sector {
    return this.#cached.get(place);
  }

  write(place: string, sector: Sector): void {
    const write = { place, sector };
    const fault = this.faults.onWrite(write);
    if (fault === 'cut' || fault === 'kill') this.#crash(fault);
    if (fault === 'none' || this.faults.failedWriteLands(write)) this.#cache(write);
    if (fault === 'error') throw new DiskError(`write of ${place}`);
  }

  sync(): void {
    const fault = this.faults.onSync();
    if (fault === 'cut' || fault === 'kill') this.#crash(fault);
    if (fault === 'error') {
      this.#loseSync();
      throw new DiskError('sync');
    }
    for (const { place, sector } of this.#unsynced) this.#durable.set(place, sector);
    this.#unsynced = [];
  }

  /** Power goes: the disk keeps any part of what was not synced, the cache nothing. */
  cutPower(): void {
    this.#persistSome();
    this.#cached = new Map(this.#durable);
    this.#ghosts.clear();
  }

  /** The cache needs room and drops clean sectors; what the disk has is read again. */
  evict(): void {
    for (const place of this.#ghosts) {
      if (!this.faults.evicts(place)) continue;
      this.#cached.set(place, this.#durable.get(place));
      this.#ghosts.delete(place);
    }
  }

  /** Whether all that was ever written is on the disk. */
  get settled(): boolean {
    return this.#unsynced.length === 0 && this.#ghosts.size === 0;
  }

  /** Every place that holds something, page by page. */
  pages(): string[] {
    const pages = new Set<string>();
    for (const [place, sector] of this.#durable) if (sector !== undefined) pages.add(pageOf(place));
    return [...pages];
  }

  /** One page rots: each sector that held something holds `damage` now. Returns what undoes it. */
  rot(page: string, damage: Sector): () => void {
    const before: Write[] = [];
    for (const [place, sector] of this.#durable) {
      if (pageOf(place) === page && sector !== undefined) before.push({ place, sector });
    }
    const put = (place: string, sector: Sector) => {
      this.#durable.set(place, sector);
      this.#cached.set(place, sector);
    };
    for (const { place } of before) put(place, damage);
    return () => {
      for (const { place, sector } of before) put(place, sector);
    };
  }

  #cache(write: Write): void {
    this.writeCount++;
    this.#cached.set(write.place, write.sector);
    this.#unsynced.push(write);
    if (this.#ghosts.size > 0) this.#rewriteGhostsBeside(write.place);
  }

  /** A page is written as a whole: its ghosts are on their way to the disk again. */
  #rewriteGhostsBeside(place: string): void {
    this.#ghosts.delete(place);
    for (const ghost of this.#ghosts) {
      if (pageOf(ghost) !== pageOf(place)) continue;
      this.#unsynced.push({ place: ghost, sector: this.#cached.get(ghost) });
      this.#ghosts.delete(ghost);
    }
  }

  #persistSome(): Write[] {
    const survives = this.faults.survivors();
    const lost = this.#unsynced;
    this.#unsynced = [];
    for (const write of lost) {
      if (survives(write)) this.#durable.set(write.place, write.sector);
    }
    return lost;
  }

  #loseSync(): void {
    for (const { place } of this.#persistSome()) {
      if (this.#cached.get(place) !== this.#durable.get(place)) this.#ghosts.add(place);
    }
    this.evict();
  }

  #crash(kind: 'cut' | 'kill'): never {
    if (kind === 'cut') this.cutPower();
    throw new Crash(kind);
  }
}
