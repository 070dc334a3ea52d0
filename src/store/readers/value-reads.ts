/**
 * The reads of one state of a store: of the present one of a store that is open for writing
 * (`present-reads.ts`), or of one batch beside a writer (`proven-reads.ts`).
 *
 * Invariant: each read gives the value of its state, or throws. Ids and ranges have been checked by
 * the caller; whether the store is still open has not.
 */

import type { StoreCore } from '../state/core.ts';
import {
  checkStreamOptions,
  type ReadStreamOptions,
  type StreamedValue,
  valueStream,
} from '../streams/value-stream.ts';
import type { ByteRange } from '../values/value-place.ts';

type Bytes = Uint8Array<ArrayBuffer>;

export interface ValueReads {
  readonly core: StoreCore;
  get(id: bigint): Bytes | undefined;
  getAsync(id: bigint): Promise<Bytes | undefined>;
  has(id: bigint): boolean;
  lengthOf(id: bigint): number | undefined;
  readRange(id: bigint, range: ByteRange): Bytes | undefined;
  readRangeAsync(id: bigint, range: ByteRange): Promise<Bytes | undefined>;
  /** The value for a stream; undefined if there is none. It is to be released. */
  streamed(id: bigint): StreamedValue | undefined;
}

/** `Store.createReadStream` of a state. Throws `VARVE_INVALID_ARGUMENT`, and as its `has`. */
export function streamOf(
  state: ValueReads,
  id: bigint,
  options: ReadStreamOptions,
): ReadableStream<Bytes> | undefined {
  const plan = checkStreamOptions('Store.createReadStream', options);
  const value = state.streamed(id);
  return value && valueStream(state.core.values, value, plan);
}
