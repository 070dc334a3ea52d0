/**
 * Reads the heads and mark pages of a stratum's grain maps, and heals damaged ones
 * (`file/twins.ts`).
 *
 * Invariant: the result has the content that the parent names. The twin of a head has older names
 * of its pages, so every page of a map whose head was healed catches up from the commit log too.
 * Maps of a healed basin catch up when the store is opened (`open/loading.ts`). The next settle
 * writes what was healed.
 */

import { corrupt, isVarveError } from '../../errors.ts';
import {
  decodeMapHead,
  isOwnedBy,
  type MarkPageName,
  mapHeadPage,
  mapOwner,
  markPageCount,
  markPagePage,
  openMarkPage,
} from '../../format/grain-map.ts';
import { kindMap, kindMarks, pageBytes } from '../../format/layout.ts';
import type { LogRecord } from '../../format/log-record.ts';
import type { PageSource } from '../file/page-source.ts';
import { readOrHeal, type SlotName, type Stamped, type TwoSlots } from '../file/twins.ts';
import type { MarkPage } from '../marks/mark-page.ts';
import type { GrainMap } from './grain-map.ts';
import { type CountedStratum, checkHealed } from './recount.ts';

export class MapLoader {
  readonly #stratum: { readonly basin: number; readonly number: number };
  readonly #source: PageSource;
  /** Maps whose head was healed: the records that their pages may lack. */
  readonly #behind = new Map<GrainMap, Iterable<LogRecord>>();
  /** Maps whose names are not known, since they replaced others: the batch that did. */
  readonly #writtenFrom = new Map<GrainMap, number>();
  /** Maps whose head or basin was healed: the stamp of its twin. */
  readonly #twinStamps = new Map<GrainMap, number>();
  /** Pages that only their place names. */
  readonly #unnamed = new Set<MarkPage>();
  /** Maps whose head or basin was healed, until their marks have been counted. */
  readonly #healed = new Set<GrainMap>();
  /** Pages of healed maps that were loaded once: a later load finds them as they were then. */
  readonly #found = new Set<MarkPage>();
  /** Healed maps whose marks lack changes. */
  readonly #refused = new Map<GrainMap, Error>();

  constructor(stratum: { readonly basin: number; readonly number: number }, source: PageSource) {
    this.#stratum = stratum;
    this.#source = source;
  }

  /** The basin was healed: its twin, with this stamp, names the map. */
  basinHealed(map: GrainMap, stamp: number): void {
    this.#twinStamps.set(map, stamp);
    this.#healed.add(map);
  }

  /** A settle has written the marks of the map, which replaced another one with `batch`. */
  placed(map: GrainMap, batch: number): void {
    this.#writtenFrom.set(map, batch);
  }

  /** Throws `VARVE_CORRUPT` as `checkHealed`. Requires: the log has been replayed. */
  check(stratum: CountedStratum, load: (page: MarkPage) => void): void {
    if (this.#healed.size > 0) checkHealed(stratum, this.#healed, load);
    this.#healed.clear();
  }

  /**
   * The head of the map was healed in an open store: if its marks lack changes, drops its pages and
   * returns the error, which reading them throws from now on.
   */
  refusal(stratum: CountedStratum, map: GrainMap): Error | undefined {
    const { history, newerThan } = this.#source;
    // Counters and marks may be of different batches.
    if (!history.replayed || newerThan !== undefined) return undefined;
    try {
      // All pages have just been loaded, and are dirty.
      this.check(stratum, () => undefined);
      return undefined;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      this.#healed.clear();
      this.#refused.set(map, error);
      for (const page of map.pages) page.forget();
      return error;
    }
  }

  /** False if the names of its pages, and the hints in them, may be of earlier generations. */
  isHinted(map: GrainMap): boolean {
    return !this.#twinStamps.has(map) && !this.#writtenFrom.has(map);
  }

  /**
   * Opens a map. Returns true if its head was healed: then load all pages and mark them dirty,
   * since the twin has older names of them. Throws `VARVE_CORRUPT`, `VARVE_IO`.
   */
  open(map: GrainMap): boolean {
    if (map.opened) return false;
    if (!map.hasHead) {
      map.open(map.name.generation === 0 ? undefined : [map.singleName()]);
      if (this.#writtenFrom.has(map)) this.#unnamed.add(map.pageOf(map.firstIndex));
      return false;
    }
    const { content, stamp, lacking, newer } = readOrHeal(this.#headOf(map), this.#source);
    if (newer !== undefined) map.rewrittenAs(newer);
    map.open(content);
    if (lacking === undefined) return false;
    this.#behind.set(map, lacking);
    this.#twinStamps.set(map, stamp);
    this.#healed.add(map);
    map.healed();
    return true;
  }

  #headOf(map: GrainMap): TwoSlots<readonly MarkPageName[] | undefined> {
    return {
      what: 'the head of a grain map',
      kind: kindMap,
      name: map.name,
      unwritten: undefined,
      isParent: true,
      writtenFrom: this.#writtenFrom.get(map),
      parentStamp: this.#twinStamps.get(map),
      pageOf: (generation) => mapHeadPage(map.page, generation),
      read: (page) => this.#source.readPage(page),
      isOwn: (bytes) => isOwnedBy(bytes, mapOwner(this.#stratum, map), markPageCount(map.grains)),
      open: (bytes, name) => this.#openHead(map, bytes, name),
    };
  }

  #openHead(map: GrainMap, bytes: Uint8Array, name: SlotName): Stamped<readonly MarkPageName[]> {
    const { pages, stamp } = decodeMapHead(bytes, name, this.#source.salt);
    this.#checkOwner(map, bytes, name.page, markPageCount(map.grains));
    return { content: pages, stamp };
  }

  /** `part`: in a head the number of mark pages, in a mark page its ordinal. */
  #checkOwner(map: GrainMap, bytes: Uint8Array, page: number, part: number): void {
    if (isOwnedBy(bytes, mapOwner(this.#stratum, map), part)) return;
    const offset = page * pageBytes;
    throw corrupt('a page of a grain map is of another map than its basin says', { offset });
  }

  /**
   * Loads one mark page of the map. Returns true if it was healed: a settle must write it. Throws
   * `VARVE_CORRUPT`, `VARVE_IO`.
   */
  load(map: GrainMap, page: MarkPage): boolean {
    if (page.loaded) return false;
    const refused = this.#refused.get(map);
    if (refused !== undefined) throw refused;
    const isFound = this.#found.has(page);
    const behind = isFound ? undefined : this.#behind.get(map);
    try {
      const parentStamp = isFound ? undefined : this.#twinStamps.get(map);
      const structure = { ...this.#marksOf(map, page), parentStamp };
      const { content, stamp, lacking, newer } = readOrHeal(structure, this.#source);
      if (lacking === undefined) {
        page.load(content, stamp);
        if (behind !== undefined) this.#catchUp(page, behind);
      } else page.healed();
      // A page that was never written has no marks to check.
      if (content !== undefined || behind !== undefined || lacking !== undefined) {
        page.check(map.page * pageBytes);
      }
      if (newer !== undefined) {
        this.#unnamed.delete(page);
        page.rewrittenAs(newer);
        if (!map.hasHead) map.rewrittenAs(newer);
      }
      if (this.#twinStamps.has(map)) this.#found.add(page);
      // Beside a writer a newer page is only its writer's latest.
      const isNamedLate = newer !== undefined && this.#source.newerThan === undefined;
      return behind !== undefined || lacking !== undefined || isNamedLate;
    } catch (error) {
      page.forget();
      throw error;
    }
  }

  #marksOf(map: GrainMap, page: MarkPage): TwoSlots<Uint8Array | undefined> {
    return {
      what: 'a mark page',
      kind: kindMarks,
      name: page.name,
      unwritten: undefined,
      isParent: false,
      writtenFrom: this.#unnamed.has(page) ? this.#writtenFrom.get(map) : undefined,
      reached: this.#source.newerThan === undefined ? page.stamp : 0,
      pageOf: (generation) => markPagePage(map, page.ordinal, generation),
      read: (at) => this.#source.readPage(at),
      isOwn: (bytes) => isOwnedBy(bytes, mapOwner(this.#stratum, map), page.ordinal),
      open: (bytes, name) => {
        const { marks, stamp } = openMarkPage(bytes, name, this.#source.salt);
        this.#checkOwner(map, bytes, name.page, page.ordinal);
        return { content: marks, stamp };
      },
      catchUp: ({ content, stamp }, lacking) => {
        page.load(content, stamp);
        this.#catchUp(page, lacking);
      },
    };
  }

  /** Applies the records after the page's stamp to it. */
  #catchUp(page: MarkPage, records: Iterable<LogRecord>): void {
    const { basin, number } = this.#stratum;
    let reached = page.stamp;
    for (const { batch, operations } of records) {
      if (batch <= page.stamp) continue;
      reached = batch;
      for (const change of operations) {
        if (!('count' in change)) continue;
        if (change.basin !== basin || change.stratum !== number) continue;
        const at = change.index - page.firstIndex;
        if (at < 0 || at >= page.grains) continue;
        if (at + change.count <= page.grains && page.apply(change.operation, at, change.count)) {
          continue;
        }
        throw corrupt('a healed mark page contradicts the commit log', { batch });
      }
    }
    page.caughtUp(reached);
  }
}
