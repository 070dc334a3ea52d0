/**
 * Settle writes the Atlas's state back into mark pages, map heads, basins and the root, so that
 * opening does not need the log before it.
 *
 * It rides on commits, some writes with each, in three steps with a completed sync between them:
 * (1) the structures, each into the slot that no header names, and the values that the log carries,
 * to their grains; (2) one copy of the file header, which names the structures; (3) the other copy.
 * Only then the replaced slots, the old places of moved documents and the log before it are used
 * again.
 *
 * A structure is written as of the last published batch at that time, and its stamp says so. The
 * header's `base` is the batch at which the settle began: later changes may concern structures that
 * were written before. Replay skips changes that a stamp covers.
 */

import { decodeBasin, encodeBasin } from '../../format/basin.ts';
import { type DocumentName, sealDocument, slotPage } from '../../format/document.ts';
import {
  decodeMapHead,
  encodeMapHead,
  encodeMarkPage,
  mapHeadPage,
  mapOwner,
  markPagePage,
} from '../../format/grain-map.ts';
import { kindBasin, kindRoot, pageBytes } from '../../format/layout.ts';
import { decodeRoot, encodeRoot } from '../../format/root.ts';
import { assert, checks } from '../../util/assert.ts';
import type { FileWrite } from '../file/effects.ts';
import type { Extent, Space } from '../file/space.ts';
import type { ZeroedPages } from '../file/zeroed-pages.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { BasinState } from '../grains/basin-state.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { DirtyPage, Stratum } from '../grains/stratum.ts';
import type { CommitLog, LogSnapshot } from '../log/commit-log.ts';
import type { CarriedValues, HomeWrite } from '../values/carried-values.ts';
import type { HeaderCopies, SettledState } from './header-copies.ts';

/** The state after the last published batch. */
export interface Published {
  readonly currentBatch: number;
  readonly checkpoint: number;
  readonly embeddedHeader: bigint;
}

/** The parts of the store that a settle reads and changes. */
export interface SettleParts {
  readonly reader: { readonly salt: Uint8Array };
  readonly values: { readonly carried: CarriedValues };
  readonly writer: { readonly zeroed: ZeroedPages };
  readonly atlas: Atlas;
  readonly space: Space;
  readonly log: CommitLog;
  readonly headers: HeaderCopies;
  /** The present state: another object after each batch. */
  readonly published: Published;
}

/** One settle, from its start until the space that it replaced is free. */
export class Settle {
  readonly #parts: SettleParts;
  readonly #snapshot: LogSnapshot;
  readonly #base: Published;
  readonly #root: DocumentName;
  readonly #dirty: readonly DirtyPage[];
  /** Old extents of documents that moved. */
  #left: Extent[] = [];
  readonly #leaving: readonly Extent[];
  #writes: Generator<FileWrite, DocumentName>;
  /** Basins that it has written. */
  readonly #basins = new Set<BasinState>();
  /** New extents that it gave to documents. */
  #given: Extent[] = [];
  readonly #documentBytes = new Set<Uint8Array>();
  /** Pages at which the disk refused a document. */
  readonly #refusedPages = new Set<number>();
  /** Mark pages and heads of maps that it has made. */
  #pages = 0;
  #redo = false;
  #settled: SettledState | undefined;
  #step: 'structures' | 'headers' | 'done' = 'structures';

  readonly #clean: boolean;

  /** Begins now: it covers every batch published so far. `clean`: no later one follows it. */
  constructor(parts: SettleParts, clean: boolean) {
    this.#parts = parts;
    this.#clean = clean;
    const { atlas, log, headers } = parts;
    assert(headers.agreed, 'a settle begins when both header copies are past the last');
    this.#base = parts.published;
    const { base } = headers.content.settled;
    assert(this.#base.currentBatch >= base, 'a settle holds no fewer batches than the last');
    this.#snapshot = log.snapshot(this.#base.checkpoint);
    this.#root = headers.content.settled.root;
    this.#dirty = [...atlas.strata()].flatMap((stratum) => stratum.dirtyPages());
    // A basin names its maps' heads and single mark pages: if one of these is written, so is the
    // basin.
    for (const { stratum } of this.#dirty) atlas.basinOf(stratum).touched();
    this.#leaving = [...atlas.leaving];
    this.#writes = this.#structures();
    log.settleBegins();
  }

  /** The stamp of a structure that is written now: the last published batch. */
  get #stamp(): number {
    return this.#parts.published.currentBatch;
  }

  get done(): boolean {
    return this.#step === 'done';
  }

  /** Structures are still to be written: no map may move. */
  get isWriting(): boolean {
    return this.#step === 'structures';
  }

  /** The last batch that it covers. */
  get base(): number {
    return this.#base.currentBatch;
  }

  /** Pages of structures that it has written; those written again count once. */
  get pages(): number {
    let pages = this.#pages;
    for (const { length } of this.#documentBytes) pages += Math.ceil(length / pageBytes);
    return pages;
  }

  /** The segment of the first record after `base`. */
  get firstSegment(): LogSnapshot['current'] {
    return this.#snapshot.current;
  }

  /**
   * Up to `count` writes of values that records up to the base carry, to their grains. Those that
   * fail are there again in the next round.
   */
  takeHome(count: number): HomeWrite[] {
    if (this.#step !== 'structures') return [];
    return this.#parts.values.carried.writesUpTo(this.#base.currentBatch, count);
  }

  /** True if every record up to the base can be forgotten. */
  get #isWritten(): boolean {
    if (this.#settled === undefined) return false;
    return !this.#parts.values.carried.hasUpTo(this.#base.currentBatch);
  }

  /** Up to `count` writes of the first step; empty after the last one. */
  take(count: number): FileWrite[] {
    const writes: FileWrite[] = [];
    if (this.#redo) this.#redoDocuments();
    while (writes.length < count && this.#settled === undefined) {
      const next = this.#writes.next();
      assert(
        next.done !== true || next.value !== undefined,
        'a settle is not continued after it threw',
      );
      if (next.done === true) this.#settled = this.#stateWith(next.value);
      else writes.push(next.value);
    }
    return writes;
  }

  /**
   * A write failed. If it was of a document, returns true: all documents are made again. This one
   * goes elsewhere, since the file may have no blocks here, or cannot grow.
   */
  failed({ offset, chunks }: FileWrite): boolean {
    if (!chunks.some((chunk) => this.#documentBytes.has(chunk))) return false;
    assert(this.#step === 'structures', 'documents are written in the first step');
    this.#refusedPages.add(offset / pageBytes);
    this.#redo = true;
    this.#settled = undefined;
    return true;
  }

  /**
   * Makes all documents again, in slots that no header names: the root contains the places of the
   * basins. Requires: every write of the round in which one failed has returned.
   */
  #redoDocuments(): void {
    for (const basin of this.#basins) basin.writeRefused();
    for (const { page, pages } of this.#given) this.#parts.space.free(page, pages);
    this.#basins.clear();
    this.#documentBytes.clear();
    this.#given = [];
    this.#left = [];
    this.#redo = false;
    this.#writes = this.#documents();
  }

  #stateWith(root: DocumentName): SettledState {
    return {
      base: this.#base.currentBatch,
      checkpoint: this.#base.checkpoint,
      embeddedHeader: this.#base.embeddedHeader,
      root,
      retainedLogBytes: this.#snapshot.retainedBytes,
      laneSectors: this.#snapshot.laneSectors,
    };
  }

  /** A sync has completed that covers every write taken so far. */
  synced(): 'structures' | 'headers' | 'done' {
    const { headers, log, space } = this.#parts;
    if (this.#step === 'structures' && this.#settled !== undefined && this.#isWritten) {
      const segments = log.listFrom(this.#snapshot.current);
      headers.change({ settled: this.#settled, segments, clean: this.#clean });
      this.#step = 'headers';
      for (const { page } of this.#dirty) page.becomeDurable();
      this.#parts.atlas.loadedPages.shrink();
    } else if (this.#step === 'headers' && headers.agreed) {
      log.drop(this.#snapshot.dropped, space);
      for (const { page, pages } of [...this.#left, ...this.#leaving]) space.free(page, pages);
      this.#parts.atlas.left(this.#leaving);
      this.#step = 'done';
    }
    return this.#step;
  }

  // ── the writes, made one at a time when they are asked for ──

  *#structures(): Generator<FileWrite, DocumentName> {
    const maps = new Map<GrainMap, Stratum>();
    for (const dirty of this.#dirty) {
      // A batch since the settle began has dropped the map: the basin will not name it.
      if (!dirty.stratum.pages.dirty.has(dirty.page)) continue;
      yield this.#markPage(dirty);
      maps.set(dirty.map, dirty.stratum);
    }
    for (const [map, stratum] of maps) if (map.hasHead) yield this.#mapHead(stratum, map);
    return yield* this.#documents();
  }

  *#documents(): Generator<FileWrite, DocumentName> {
    const { atlas } = this.#parts;
    for (const basin of atlas.basins) {
      if (!basin.durable || (!basin.dirty && basin.name.generation > 0)) continue;
      const place = { kind: kindBasin, stamp: this.#stamp };
      const strata = basin.strata.filter((stratum) => stratum.durable);
      const bytes = encodeBasin({ strata: strata.map((stratum) => stratum.entry()) });
      // A bad encoding fails here, not at the next opening.
      if (checks.strict) decodeBasin(bytes, 0);
      const written = this.#document(bytes, basin.name, place);
      basin.sealedAs(written.name, place.stamp);
      this.#basins.add(basin);
      yield written.write;
    }
    const basins = atlas.basins.filter((basin) => basin.durable).map((basin) => basin.name);
    const { segments, bodies } = this.#snapshot;
    assert(
      basins.every((name) => name.generation > 0),
      'the root is written after all basins',
    );
    const { embeddedHeader } = this.#base;
    const bytes = encodeRoot({ embeddedHeader, basins, segments, bodies });
    if (checks.strict) decodeRoot(bytes, 0);
    const place = { kind: kindRoot, stamp: this.#stamp };
    const written = this.#document(bytes, this.#root, place);
    yield written.write;
    return written.name;
  }

  #markPage({ stratum, map, page }: DirtyPage): FileWrite {
    const generation = page.nextGeneration;
    const at = markPagePage(map, page.ordinal, generation);
    const stamp = this.#stamp;
    const place = { page: at, generation, stamp };
    if (checks.strict) page.check(at * pageBytes);
    const content = { owner: mapOwner(stratum, map), ordinal: page.ordinal, marks: page.marks };
    const { bytes, crc } = encodeMarkPage(content, place, this.#parts.reader.salt);
    page.sealedAs({ generation, crc }, stamp);
    if (!map.hasHead) map.sealedAs({ generation, crc });
    stratum.pages.markWritten(page);
    this.#pages += 1;
    return { offset: at * pageBytes, chunks: [bytes] };
  }

  #mapHead(stratum: Stratum, map: GrainMap): FileWrite {
    const generation = map.nextGeneration;
    const page = mapHeadPage(map.page, generation);
    const place = { page, generation, stamp: this.#stamp };
    const pages = map.pages.map((markPage) => markPage.name);
    assert(
      pages.some((name) => name.generation > 0),
      'a head is written with or after a page of its map',
    );
    const head = { owner: mapOwner(stratum, map), pages };
    const { salt } = this.#parts.reader;
    const { bytes, crc } = encodeMapHead(head, place, salt);
    if (checks.strict) decodeMapHead(bytes, { page, generation, crc }, salt);
    map.sealedAs({ generation, crc });
    this.#pages += 1;
    return { offset: page * pageBytes, chunks: [bytes] };
  }

  /**
   * The next generation of a document; in another place if it has outgrown its own or was refused
   * there.
   */
  #document(
    bytes: Uint8Array,
    old: DocumentName,
    as: { kind: number; stamp: number },
  ): { write: FileWrite; name: DocumentName } {
    const { space, reader } = this.#parts;
    let { page, capacityPages } = old;
    const needed = Math.ceil(bytes.length / pageBytes);
    const generation = old.generation + 1;
    const isRefused = this.#refusedPages.has(slotPage(page, capacityPages, generation));
    const fits = needed <= capacityPages && !isRefused;
    const capacity = needed === 1 ? 1 : Math.ceil(needed * 1.5);
    // Compaction wants the pages where it is.
    const leaves = fits && page >= space.leftFrom;
    const lower = leaves ? space.takeBelow(2 * capacity, page) : undefined;
    if (!fits || lower !== undefined) {
      if (capacityPages > 0) this.#left.push({ page, pages: 2 * capacityPages });
      capacityPages = capacity;
      page = lower ?? space.allocate(2 * capacityPages, 0, 'end');
      this.#given.push({ page, pages: 2 * capacityPages });
    }
    const name = sealDocument(bytes, { page, capacityPages, generation, ...as }, reader.salt);
    const offset = slotPage(page, capacityPages, generation) * pageBytes;
    this.#documentBytes.add(bytes);
    return { write: { offset, chunks: [bytes] }, name };
  }
}
