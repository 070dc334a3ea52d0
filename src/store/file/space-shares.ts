/**
 * How far a file grows at once and how much of it is kept in reserve, by its size.
 *
 * A small store stays small, and a large one seldom has to grow. Pure: where the pages are is known
 * to `Space` only.
 */

import { pageBytes } from '../../format/layout.ts';

const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

/** How far something of `bytes` bytes grows at once: 1/16 while small, 1/64 when large. */
export function growthBytes(bytes: number): number {
  return Math.max(
    64 * kibibyte,
    Math.min(bytes / 16, mebibyte),
    Math.min(bytes / 64, 32 * mebibyte),
  );
}

const reserveShare = 192;
const reservePagesMost = (8 * mebibyte) / pageBytes;
/**
 * A segment of the commit log and two documents: what a store of less than 16 MiB keeps. Half of it
 * has room for the record of a commit that archives some thousands of values; a longer record needs
 * free pages in a row, or is refused.
 */
const reservePagesLeast = 20;
/** A store that fits into 256 KiB keeps room for two documents only, a new one nothing. */
const tinyPages = 64;
const tinyReservePages = 4;
/** A reserve that has become too short is made longer than it must be, so that it lasts. */
export const reserveExcess = 1.25;

/** Pages that a store of so many pages keeps for its own structures. */
export function reservePagesFor(endPage: number): number {
  if (endPage < tinyPages) return endPage < tinyPages / 2 ? 0 : tinyReservePages;
  const share = Math.min(Math.ceil(endPage / reserveShare), reservePagesMost);
  return Math.max(share, reservePagesLeast);
}
