/**
 * How the store of a life is opened: with which settings, and that limits of its structures may be
 * narrow.
 *
 * Invariant: the same settings open the same store; a life never changes them.
 */

import type { Store } from '../../../src/index.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import type { FreePart, StoreLimits } from '../../../src/store/open/open-request.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import type { SimulatedDisk } from '../disks/simulated-disk.ts';

const storePath = 'store';
const cacheBytes = 128 * 1024;

/** Free pages from which automatic compaction begins in tests. */
export const compactsEarly: FreePart = { bytes: 0, share: 0.05 };

export interface LifeSettings {
  readonly settleBytes?: number;
  readonly limits?: Partial<StoreLimits>;
  /** Values of one length have the same bytes: what is done twice leaves the same behind. */
  readonly sameBytes?: boolean;
  /** One more session pushes and commits whenever operations of the disk are under way. */
  readonly intrudes?: boolean;
  /** Automatic compaction begins as soon as a twentieth of the file is free. */
  readonly compacts?: boolean;
}

export async function openOn(disk: SimulatedDisk, settings: LifeSettings): Promise<Store> {
  const { settleBytes = 4096, limits, compacts = false } = settings;
  const compaction = compacts ? 'automatic' : 'manual';
  const options = { fileSystem: disk, settleBytes, cacheBytes, compaction } as const;
  const all = { ...defaultLimits, compactsFrom: compactsEarly, ...limits };
  return await openStore(checkOptions(storePath, options, all));
}
