/**
 * The world around a forest that misbehaves on purpose: a file system whose asynchronous operations
 * take turns of the event loop, and calls (of the disk, a codec, a reducer, a vault, a listener) of
 * which one fails.
 *
 * Invariant: deterministic from the seed. At most one fault is armed at a time, and it strikes once.
 */

import type { FileSystem, OpenFileOptions, StorageFile } from '../../../src/index.ts';
import type { DiskOperation, Fault, ReadFault } from '../../support/disks/disk-faults.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { Random } from '../../support/random.ts';
import { type FaultKind, faultKinds } from '../model/plan.ts';

/** What a codec, reducer, vault or listener of the test throws. */
export class InjectedError extends Error {}

export type CallCounts = Record<FaultKind, number>;

function noCalls(): CallCounts {
  return Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as CallCounts;
}

export class Chaos {
  /** Calls so far. */
  readonly counts: CallCounts = noCalls();
  /** How often a fault has struck. */
  fired = 0;
  /** The simulation looks at its views: what is called now would not be without it. */
  isLooking = false;
  /** What struck last. */
  lastKind: FaultKind | undefined;
  /** The number that the last sync which failed has among the operations of the disk. */
  failedSync = -1;
  readonly injected: InjectedError[] = [];
  /** The kinds of the faults that have struck. */
  readonly struck: FaultKind[] = [];
  #isPaused = false;
  #armed: { readonly kind: FaultKind; left: number } | undefined;

  arm(kind: FaultKind, after: number): void {
    this.#armed = { kind, left: after };
  }

  disarm(): void {
    this.#armed = undefined;
  }

  /** While it is paused nothing is counted and nothing fails. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
  }

  /** Counts a call; whether the fault strikes it. */
  strikes(kind: FaultKind): boolean {
    if (this.#isPaused) return false;
    const counted = this.isLooking && kind !== 'write' && kind !== 'sync' ? 'view' : kind;
    this.counts[counted] += 1;
    const armed = this.#armed;
    if (armed?.kind !== counted) return false;
    armed.left -= 1;
    if (armed.left >= 0) return false;
    this.#armed = undefined;
    this.fired += 1;
    this.lastKind = kind;
    this.struck.push(counted);
    return true;
  }

  /** Counts a call of the user's code; throws where the fault strikes it. */
  call(kind: FaultKind): void {
    if (!this.strikes(kind)) return;
    const error = new InjectedError(`the ${kind} fails, made for the test`);
    this.injected.push(error);
    throw error;
  }

  faultOf = ({ kind, number }: DiskOperation): Fault | undefined => {
    if (kind === 'datasync') {
      if (!this.strikes('sync')) return undefined;
      this.failedSync = number;
      // Reads see what is lost, as on some file systems, or what was before.
      return { kind: 'sync', cache: number % 2 === 0 ? 'kept' : 'dropped' };
    }
    return this.strikes('write') ? { kind: 'error', code: 'EIO' } : undefined;
  };

  readFaultOf = ({ kind }: { kind: 'read' | 'length' }): ReadFault | undefined => {
    if (kind === 'length') return undefined;
    return this.strikes('read') ? { kind: 'error', code: 'EIO' } : undefined;
  };
}

/** Turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The simulated disk of a life, each of whose asynchronous operations takes its time. */
export class SlowDisk implements FileSystem {
  readonly disk: SimulatedDisk;
  readonly #random: Random;
  readonly #turnsMax: number;

  constructor(chaos: Chaos, seed: number, how: { turnsMax: number; records: boolean }) {
    const { faultOf, readFaultOf } = chaos;
    this.disk = new SimulatedDisk({ seed, faultOf, readFaultOf, records: how.records });
    this.#random = new Random(seed + 1);
    this.#turnsMax = how.turnsMax;
  }

  /** Lets a few turns pass, or none. */
  async delay(): Promise<void> {
    await turns(this.#turnsMax === 0 ? 0 : this.#random.below(this.#turnsMax + 1));
  }

  async open(path: string, options: OpenFileOptions): Promise<StorageFile> {
    await this.delay();
    return slowed(await this.disk.open(path, options), () => this.delay());
  }
}

function slowed(file: StorageFile, delay: () => Promise<void>): StorageFile {
  const around = async <T>(act: () => Promise<T>): Promise<T> => {
    await delay();
    const result = await act();
    await delay();
    return result;
  };
  return {
    length: () => file.length(),
    readSync: (target, position) => file.readSync(target, position),
    read: (target, position) => around(() => file.read(target, position)),
    writeSync: (chunks, position) => file.writeSync(chunks, position),
    write: (chunks, position) => around(() => file.write(chunks, position)),
    truncateSync: (length) => file.truncateSync(length),
    truncate: (length) => around(() => file.truncate(length)),
    datasyncSync: () => file.datasyncSync(),
    datasync: () => around(() => file.datasync()),
    close: () => around(() => file.close()),
  };
}
