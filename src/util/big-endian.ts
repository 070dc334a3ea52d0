/**
 * Big-endian integers at offsets of a byte array: their bytes sort as the numbers do.
 *
 * For keys only; varve's own structures are little-endian (`little-endian.ts`). Numbers above 32
 * bits are safe integers. No function checks bounds.
 */

const twoTo32 = 0x1_0000_0000;

export function getU32BigEndian(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

export function setU32BigEndian(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function getU64BigEndian(bytes: Uint8Array, at: number): number {
  return getU32BigEndian(bytes, at) * twoTo32 + getU32BigEndian(bytes, at + 4);
}

export function setU64BigEndian(bytes: Uint8Array, at: number, value: number): void {
  setU32BigEndian(bytes, at, Math.floor(value / twoTo32));
  setU32BigEndian(bytes, at + 4, value >>> 0);
}
