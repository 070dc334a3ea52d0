/**
 * One trial of a file that may hold anything: open it, read everything there is to read, verify it
 * and close it, and hold each step to what any file may cost and any error may be.
 *
 * Invariant: a trial that ends without throwing met only errors of the right kinds, wrote nothing
 * to a file that was refused, and took memory in proportion to the file. What the values are is not
 * looked at: a file made up whole may say anything.
 */

import { type Finding, type GrainId, Store, VarveError } from '../../../src/index.ts';
import { checks } from '../../../src/util/assert.ts';
import { AllocationMeter } from '../../support/allocation-meter.ts';
import { GivenFile } from '../../support/disks/given-file.ts';

// A file made up whole may have any counters.
checks.strict = false;

/** What an opening that succeeds, and reading afterwards, may throw of a file that is damaged. */
const damageCodes = ['VARVE_CORRUPT', 'VARVE_NOT_A_STORE', 'VARVE_UNSUPPORTED_VERSION'];
/** A file may ask for more space than the disk has: closing settles. */
const closeCodes = [...damageCodes, 'VARVE_IO'];
const findingsMax = 20_000;
const cacheBytes = 32 * 4096;
/** Sectors of the log are read ahead, and results are made in slabs, however short the file is. */
const fixedBytes = 64 * 1024;

export interface TrialRequest {
  readonly ids: readonly GrainId[];
  /** Whether to verify: it walks all the grains that a file claims to have. */
  readonly verifies?: boolean;
}

export type TrialOutcome = 'refused' | 'healed' | 'opened';

/** How often each thing came of a trial, for a line of words at the end. */
export class TrialCount {
  readonly #counts = new Map<string, number>();

  add(outcome: string): void {
    this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + 1);
  }

  toString(): string {
    return [...this.#counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
  }
}

const meter = new AllocationMeter();

export async function tryImage(image: Uint8Array, request: TrialRequest): Promise<TrialOutcome> {
  const disk = new GivenFile(image);
  const store = await openMetered(disk, image);
  if (store === undefined) return 'refused';
  const { healed } = store.recovery;
  // A damaged mark page is read again for each of its values, with the log after it.
  await metered(image, 128, async () => {
    await readAll(store, request.ids);
    if (request.verifies !== false) await verifyAll(store);
    await tolerate('the log', damageCodes, async () => {
      for await (const { changes } of store.commitLog()) changes.at(-1);
    });
  });
  await tolerate('closing', closeCodes, () => store.close());
  return healed.length > 0 ? 'healed' : 'opened';
}

async function openMetered(disk: GivenFile, image: Uint8Array): Promise<Store | undefined> {
  let store: Store | undefined;
  await metered(image, 3, async () => {
    await tolerate('opening', damageCodes, async () => {
      store = await Store.open('image', { fileSystem: disk, cacheBytes });
    });
  });
  if (store === undefined && disk.changes > 0)
    throw new Error('a file that was refused is changed');
  return store;
}

async function readAll(store: Store, ids: readonly GrainId[]): Promise<void> {
  for (const id of ids) {
    await tolerate('get', damageCodes, () => store.get(id));
    await tolerate('lengthOf', damageCodes, () => store.lengthOf(id));
    await tolerate('getAsync', damageCodes, () => store.getAsync(id));
  }
}

/** Verification reports damage, it does not throw it. */
async function verifyAll(store: Store): Promise<void> {
  const findings: Finding[] = [];
  for await (const finding of store.verify({ deep: true })) {
    findings.push(finding);
    if (findings.length > findingsMax) throw new Error(`findings without end: ${finding.message}`);
  }
}

/** Nothing that the call takes at once is larger than the file, all of it a few times as large. */
async function metered(image: Uint8Array, times: number, call: () => Promise<void>): Promise<void> {
  meter.start();
  try {
    await call();
  } finally {
    meter.stop();
  }
  const { largest, total } = meter;
  const facts = `${total} bytes of memory, ${largest} at once, for a file of ${image.length}`;
  if (largest > Math.max(image.length, cacheBytes)) throw new Error(facts);
  if (total > times * (image.length + cacheBytes) + fixedBytes) throw new Error(facts);
}

/** The call throws nothing but VarveErrors with one of these codes. */
async function tolerate(
  what: string,
  codes: readonly string[],
  call: () => unknown,
): Promise<void> {
  try {
    await call();
  } catch (cause) {
    if (cause instanceof VarveError && codes.includes(cause.code)) return;
    throw new Error(`${what} threw ${String(cause)}`, { cause });
  }
}
