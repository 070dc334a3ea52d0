/**
 * The request for an opening: `StoreOptions`, checked and complete, and the limits of the Atlas,
 * which tests lower to reach the next structure quickly.
 *
 * Shape only; `store-options.ts` makes it from the caller's options.
 */

import type { FileSystem } from '../../io/file-system.ts';
import type { AtlasLimits } from '../grains/atlas.ts';

/** `StoreOptions`, checked and complete. */
export interface OpenRequest {
  readonly path: string;
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly readOnly: boolean;
  readonly fileSystem: FileSystem;
  readonly cacheBytes: number;
  /** Undefined: chosen by the file's size. */
  readonly settleBytes: number | undefined;
  readonly limits: AtlasLimits;
  readonly signal: AbortSignal | undefined;
}
