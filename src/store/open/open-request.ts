/**
 * What is asked of opening: `StoreOptions`, checked and with nothing left out, and the limits of
 * the Atlas, that tests lower to reach the next structure quickly.
 *
 * Only the shape; `store-options.ts` makes it from what the caller passed.
 */

import type { FileSystem } from '../../io/file-system.ts';
import type { AtlasLimits } from '../grains/atlas.ts';

/** `StoreOptions`, checked and with nothing left out. */
export interface OpenRequest {
  readonly path: string;
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly readOnly: boolean;
  readonly fileSystem: FileSystem;
  readonly cacheBytes: number;
  /** Undefined: as suits the file. */
  readonly settleBytes: number | undefined;
  readonly limits: AtlasLimits;
  readonly signal: AbortSignal | undefined;
}
