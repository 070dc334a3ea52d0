/**
 * Divides a list of chunks between the calls that write it.
 *
 * Invariant: no byte is copied, and if one call can take everything, the list itself is passed on.
 * It knows the limits of one call, and does no I/O.
 */

/** Linux moves at most 2 GiB - 4 KiB in one call; macOS and Node refuse 2 GiB. */
export const callBytesMax: number = 2 ** 30;
/** IOV_MAX of Linux and macOS. */
export const callChunksMax = 1024;

/** The chunks for one call: from the front, within the limits; the last may be in part. */
export function chunksOfOneCall(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
  let bytes = 0;
  for (const [index, chunk] of chunks.entries()) {
    if (index === callChunksMax) return chunks.slice(0, index);
    if (bytes + chunk.length > callBytesMax) {
      return [...chunks.slice(0, index), chunk.subarray(0, callBytesMax - bytes)];
    }
    bytes += chunk.length;
  }
  return chunks;
}

/** The chunks that remain after `bytes` have been written from the front; empty if none do. */
export function withoutFront(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = 0;
  for (const [index, chunk] of chunks.entries()) {
    if (skipped + chunk.length > bytes) {
      if (bytes === 0 && index === 0) return chunks;
      return [chunk.subarray(bytes - skipped), ...chunks.slice(index + 1)];
    }
    skipped += chunk.length;
  }
  return [];
}
