/**
 * The maps and mark pages of a stratum as they come from the disk and go. They are opened and
 * loaded when they are needed, dirty until a settle writes them, and evicted when memory is needed.
 *
 * Invariants:
 * - A page with published changes is dirty until a settle has sealed it, and stays loaded.
 * - The free grains know the runs of a page, or a bound on their length once it is evicted.
 *
 * It changes no marks.
 */

import { assert } from '../../util/assert.ts';
import type { PageSource } from '../file/page-source.ts';
import type { LoadedPages, PageHome } from '../marks/loaded-pages.ts';
import type { MarkPage } from '../marks/mark-page.ts';
import type { FreeGrains, MapOpener } from './free-grains.ts';
import type { GrainMap } from './grain-map.ts';
import { MapLoader } from './map-loader.ts';
import type { CountedStratum } from './recount.ts';

/** The parts of the stratum that it needs. */
export interface PagedStratum extends CountedStratum {
  readonly basin: number;
  readonly number: number;
  mapOf(index: number): GrainMap;
}

export class StratumPages implements PageHome, MapOpener {
  readonly #stratum: PagedStratum;
  readonly #source: PageSource;
  readonly #loaded: LoadedPages;
  readonly #loader: MapLoader;
  readonly #freeGrains: () => FreeGrains;
  readonly #dirty = new Map<MarkPage, GrainMap>();

  /** `freeGrains`: those of the stratum, once they are made. */
  constructor(
    stratum: PagedStratum,
    from: { readonly source: PageSource; readonly loaded: LoadedPages },
    freeGrains: () => FreeGrains,
  ) {
    this.#stratum = stratum;
    this.#source = from.source;
    this.#loaded = from.loaded;
    this.#freeGrains = freeGrains;
    this.#loader = new MapLoader(stratum, from.source);
  }

  /** Opens a map. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  open(map: GrainMap): void {
    if (map.opened) return;
    const healed = this.#loader.open(map);
    const isHinted = this.#loader.isHinted(map);
    for (const page of map.pages) {
      const hint = isHinted ? Math.min(page.name.longestFree, page.grains) : page.grains;
      this.#freeGrains().add(page, hint);
    }
    if (!healed) return;
    for (const page of map.pages) this.load(page);
    const refusal = this.#loader.refusal(this.#stratum, map);
    if (refusal === undefined) return;
    this.drop(map);
    throw refusal;
  }

  /** Loads a page; another one may be evicted. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  load(page: MarkPage): void {
    if (page.loaded) return;
    const map = this.#stratum.mapOf(page.firstIndex);
    if (this.#loader.load(map, page)) this.#dirty.set(page, map);
    this.#loaded.add(page, this);
  }

  /** All pages of a map, each loaded when it is its turn. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
  *of(map: GrainMap): Generator<MarkPage> {
    this.open(map);
    for (const page of map.pages) {
      if (page.loaded) page.use();
      else this.load(page);
      yield page;
    }
  }

  /** The marks of a new map, which has no page in the file yet. Requires: the map is opened. */
  adopt(map: GrainMap, marks: readonly Uint8Array[], stamp: number): void {
    for (const page of map.pages) {
      page.load(marks[page.ordinal], stamp);
      this.#dirty.set(page, map);
      this.#loaded.add(page, this);
    }
  }

  /** The map is dropped, or refused: its pages are neither dirty nor evicted. */
  drop(map: GrainMap): void {
    for (const page of map.opened ? map.pages : []) {
      this.#dirty.delete(page);
      this.#loaded.remove(page);
    }
  }

  // ── healing ──

  /** The basin was healed: its twin, with this stamp, names the map. */
  basinHealed(map: GrainMap, stamp: number): void {
    this.#loader.basinHealed(map, stamp);
  }

  /** A settle has written the marks of the map, which replaced another one with `batch`. */
  placed(map: GrainMap, batch: number): void {
    this.#loader.placed(map, batch);
  }

  /** Throws `VARVE_CORRUPT` if the marks of healed maps lack changes that are counted. */
  checkHealed(): void {
    this.#loader.check(this.#stratum, (page) => this.load(page));
  }

  // ── eviction ──

  /**
   * The page on the disk has all changes, and no values are being taken from it. While the log is
   * replayed, only pages that were written before the base go. The log may not be readable up to a
   * later stamp yet, so others could not be healed.
   */
  canSpare(page: MarkPage): boolean {
    if (this.#dirty.has(page) || this.#freeGrains().isTakingFrom(page)) return false;
    const { replayed, base } = this.#source.history;
    return replayed || page.stamp <= base;
  }

  evicted(page: MarkPage): void {
    this.#freeGrains().unload(page);
  }

  // ── changes ──

  /** A published change is in the marks of the page. */
  changed(page: MarkPage, map: GrainMap): void {
    this.#dirty.set(page, map);
  }

  /** Pages with published changes that no settle has written. */
  get dirty(): ReadonlyMap<MarkPage, GrainMap> {
    return this.#dirty;
  }

  /** The settle has written the page: later changes are for the next settle. */
  markWritten(page: MarkPage): void {
    const wasDirty = this.#dirty.delete(page);
    assert(wasDirty, 'a settle writes only pages with changes');
  }
}
