/**
 * Sizes of growth and reserve, by the size of the file.
 *
 * Invariant: a small store stays small, and a large one rarely has to grow. This file is pure: only
 * `Space` knows which pages are free.
 */

import { pageBytes } from '../../format/layout.ts';

const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

/**
 * Growth step for `bytes` bytes: 1/16 while small, 1/64 when large. At least 64 KiB; 1 MiB from 16
 * to 64 MiB; at most 32 MiB.
 */
export function growthBytes(bytes: number): number {
  return Math.max(
    64 * kibibyte,
    Math.min(bytes / 16, mebibyte),
    Math.min(bytes / 64, 32 * mebibyte),
  );
}

const growthProofShare = 64;
const growthProofMin = 64;

/** Pages that a file of `endPage` pages must grow by, on a full disk, to count as able to grow. */
export function growthProofFor(endPage: number): number {
  return Math.max(growthProofMin, endPage / growthProofShare);
}

const reserveShare = 192;
const reservePagesMax = (8 * mebibyte) / pageBytes;
/**
 * Minimum reserve of a store of 256 KiB or more: a log segment and two documents. Half of it has
 * room for the record of a commit that archives some thousand values. A longer record needs other
 * free pages in a row, or is refused.
 */
const reservePagesMin = 20;
/** A store below 256 KiB keeps room for two documents; below 128 KiB nothing. */
const tinyPages = 64;
const tinyReservePages = 4;
/** A reserve that is renewed becomes longer than necessary, so that it lasts. */
export const reserveExcess = 1.25;

/** Reserve pages of a store with `endPage` pages. */
export function reservePagesFor(endPage: number): number {
  if (endPage < tinyPages) return endPage < tinyPages / 2 ? 0 : tinyReservePages;
  const share = Math.min(Math.ceil(endPage / reserveShare), reservePagesMax);
  return Math.max(share, reservePagesMin);
}
