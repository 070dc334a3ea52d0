/**
 * Reads a structure from the slot that its parent names. If that is damaged, heals it from its
 * twin: the previous generation, in the other slot, and the commit log since.
 *
 * Invariants:
 * - The result is what the parent names, or the twin's content with the records that it lacks.
 * - Damage is `VARVE_CORRUPT` without a sound twin, or if a checkpoint has passed the twin's stamp.
 * - Beside a writer, which may have replaced the named generation, a newer one in either slot
 *   counts.
 * - Below a healed parent, a newer generation of a completed settle counts. The twin of the parent
 *   may name a page that lacks changes before the checkpoint: its settle wrote the page first. Such
 *   a page was dirty when the next settle began, so that one, which wrote the damaged parent, wrote
 *   the page too, into its other slot.
 *
 * The next settle writes a healed structure to the damaged slot, not over the good twin.
 */

import { corrupt, isVarveError, type VarveError } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import type { LogRecord } from '../../format/log-record.ts';
import { readSeal } from '../../format/seal.ts';
import type { PageSource } from './page-source.ts';

/** One generation of a structure, and the first page of its slot. */
export interface SlotName {
  readonly page: number;
  readonly generation: number;
  readonly crc: number;
}

/** The content of a structure as of a batch. */
export interface Stamped<Content> {
  readonly content: Content;
  readonly stamp: number;
  /**
   * The structure was healed: the records that it lacks, or that structures which it names may
   * lack. Apply each to the structures with an earlier stamp.
   */
  readonly lacking?: Iterable<LogRecord>;
  /** Its name, if it is a later generation than its healed parent names. */
  readonly newer?: SlotName;
}

/** A structure in two slots, as its parent names it. */
export interface TwoSlots<Content> {
  /** For the report of a healed one. */
  readonly what: string;
  readonly kind: number;
  readonly name: { readonly generation: number; readonly crc: number };
  /** Its content before generation 1. */
  readonly unwritten: Content;
  /** True for a basin or a head: the structures that it names may be older than its stamp. */
  readonly isParent: boolean;
  /**
   * The name is not known, only the place and that a settle has written the structure there, with
   * this batch or a later one.
   */
  readonly writtenFrom?: number | undefined;
  /** The named generation has no later batch than this one, if it has been read before. */
  readonly reached?: number | undefined;
  /** The stamp of the twin from which its parent was healed. */
  readonly parentStamp?: number | undefined;
  /** First page of the slot with this generation. */
  pageOf(generation: number): number;
  /** The bytes of the slot that begins with this page; `isNamed`: as many as the name says. */
  read(page: number, isNamed?: boolean): Uint8Array;
  /** True if sound bytes say that they are of this structure; basins do not say it. */
  isOwn?(bytes: Uint8Array): boolean;
  /** Checks the bytes against the name and decodes them. Throws `VARVE_CORRUPT`. */
  open(bytes: Uint8Array, name: SlotName): Stamped<Content>;
  /** Applies the records that a healed structure lacks, if that is done at once. */
  catchUp?(twin: Stamped<Content>, lacking: Iterable<LogRecord>): void;
}

/** Throws `VARVE_CORRUPT`, `VARVE_IO`. */
export function readOrHeal<Content>(
  structure: TwoSlots<Content>,
  source: PageSource,
): Stamped<Content> {
  const named = readNamed(structure);
  const rewritten = newerThanTwin(structure, source, named);
  if (rewritten !== undefined) {
    return { ...structure.open(rewritten.bytes, rewritten), newer: rewritten };
  }
  if (!(named instanceof Error)) return named;
  const newer = newestBesideWriter(structure, source);
  if (newer === undefined) return heal(structure, source, named);
  return structure.open(newer.bytes, newer);
}

/** The generation that the parent names, or its damage. */
function readNamed<Content>(structure: TwoSlots<Content>): Stamped<Content> | VarveError {
  const { generation, crc } = structure.name;
  if (structure.writtenFrom !== undefined) {
    const offset = structure.pageOf(generation) * pageBytes;
    return corrupt(`${structure.what} is not where its map has moved`, { offset });
  }
  if (generation === 0) return { content: structure.unwritten, stamp: 0 };
  const page = structure.pageOf(generation);
  try {
    return structure.open(structure.read(page, true), { page, generation, crc });
  } catch (error) {
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    return error;
  }
}

/**
 * Below a healed parent: a generation above the named one, if that may lack more than the log has.
 *
 * Its stamp is between that of the parent's twin and that of the root. So it is of this structure:
 * all that stood at this place before was written before the twin's settle. And its settle is
 * complete: of a later one that was cut, any write may be missing.
 */
function newerThanTwin<Content>(
  structure: TwoSlots<Content>,
  source: PageSource,
  named: Stamped<Content> | VarveError,
): FoundSlot | undefined {
  const { parentStamp, isParent } = structure;
  if (parentStamp === undefined) return undefined;
  const { checkpoint, settled } = source.history;
  // A parent has a stamp that the structures which it names may not have reached.
  if (!isParent && !(named instanceof Error) && named.stamp >= checkpoint) return undefined;
  return newest(structure, source, ({ stamp }) => stamp >= parentStamp && stamp <= settled);
}

function heal<Content>(
  structure: TwoSlots<Content>,
  source: PageSource,
  damage: Error,
): Stamped<Content> {
  const { history } = source;
  const twin = structure.writtenFrom === undefined ? readTwin(structure, source) : undefined;
  if (twin === undefined || twin.stamp < history.checkpoint) throw damage;
  // A settle writes the pages first, and batches may change them before it writes what names them.
  const from = structure.isParent ? history.checkpoint : twin.stamp;
  const lacking = history.after(from, structure.reached);
  structure.catchUp?.(twin, lacking);
  const offset = structure.pageOf(structure.name.generation) * pageBytes;
  history.healed(`${structure.what}, at byte ${offset}, was damaged`);
  return { ...twin, lacking };
}

/** The generation before the named one; undefined if it is not in its slot. */
function readTwin<Content>(
  structure: TwoSlots<Content>,
  source: PageSource,
): Stamped<Content> | undefined {
  const generation = structure.name.generation - 1;
  if (generation === 0) return { content: structure.unwritten, stamp: 0 };
  const found = whatIsIn(structure, source, structure.pageOf(generation));
  return found?.generation === generation ? structure.open(found.bytes, found) : undefined;
}

/**
 * Beside a writer: a generation above the named one, in either slot.
 *
 * A page with a stamp up to `newerThan` is not used: the writer cannot have replaced the named one
 * with it. The reader proves that the map has not been dropped since.
 */
function newestBesideWriter<Content>(
  structure: TwoSlots<Content>,
  source: PageSource,
): FoundSlot | undefined {
  const { newerThan } = source;
  if (newerThan === undefined) return undefined;
  return newest(structure, source, ({ stamp }) => stamp > newerThan);
}

/** The highest generation above the named one, in either slot, of those that fit. */
function newest<Content>(
  structure: TwoSlots<Content>,
  source: PageSource,
  fits: (found: FoundSlot) => boolean,
): FoundSlot | undefined {
  const { writtenFrom = 0 } = structure;
  let best: FoundSlot | undefined;
  for (const generation of [0, 1]) {
    const found = whatIsIn(structure, source, structure.pageOf(generation));
    const least = best?.generation ?? structure.name.generation;
    if (found === undefined || found.generation <= least || found.stamp < writtenFrom) continue;
    if (fits(found)) best = found;
  }
  return best;
}

interface FoundSlot extends SlotName {
  readonly stamp: number;
  readonly bytes: Uint8Array;
}

/** The whole structure in a slot; undefined if there is none of this kind and owner. */
function whatIsIn<Content>(
  structure: TwoSlots<Content>,
  { salt }: PageSource,
  page: number,
): FoundSlot | undefined {
  const { kind, read } = structure;
  const bytes = bytesOf(read, page);
  const found = readSeal(bytes, { kind, page }, salt);
  if (typeof found === 'string' || structure.isOwn?.(bytes) === false) return undefined;
  const { generation, stamp } = found.seal;
  return { page, generation, stamp, crc: found.crc, bytes };
}

/** No bytes if the file ends before the slot does. */
function bytesOf(read: (page: number) => Uint8Array, page: number): Uint8Array {
  try {
    return read(page);
  } catch (error) {
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    return new Uint8Array(0);
  }
}
